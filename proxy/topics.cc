#include "proxy/topics.h"

#include "proxy/guarded_topics.h"
#include "proxy/open_topics.h"

namespace canopy::proxy {

std::unique_ptr<Topics> topics_of(Listener& listener, bool guarded, Topics::Owner owner) {
  if (guarded) return std::make_unique<GuardedTopics>(listener, std::move(owner));
  return std::make_unique<OpenTopics>(listener, std::move(owner));
}

}  // namespace canopy::proxy
