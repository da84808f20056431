// Whether a partition has room for a request. It is asked before the request is staged, so that
// what is staged can be committed.
#pragma once

#include "core/keyspace/tree.h"
#include "core/wire/write.h"

namespace canopy::shard {

class Space {
 public:
  enum class Verdict {
    fits,          // counted: it may be staged
    commit_first,  // to be asked again once all that is staged is on disk
    full,          // refused
  };

  virtual ~Space() = default;

  // `tree`: what is committed.
  virtual Verdict admit(const wire::WriteRequest& request, const keyspace::Tree& tree) = 0;
  // Of one expired entry; false: after the next commit.
  virtual bool admit_expiry() = 0;
};

}  // namespace canopy::shard
