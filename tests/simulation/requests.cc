#include "tests/simulation/requests.h"

namespace canopy::simulation {

std::optional<keyspace::Revision> answered(const cluster::RequestTable& requests,
                                           const wire::WriteRequest& request) {
  return requests.look_up(request.client, request.number, request.settled).revision;
}

bool settled(const cluster::RequestTable& requests, const wire::WriteRequest& request) {
  return requests.look_up(request.client, request.number, request.settled).fault !=
         wire::Fault::none;
}

}  // namespace canopy::simulation
