#include "core/wire/fault.h"

namespace canopy::wire {

std::string_view name(Fault fault) {
  switch (fault) {
    case Fault::none: return "none";
    case Fault::malformed: return "malformed";
    case Fault::version_unknown: return "version_unknown";
    case Fault::kind_unknown: return "kind_unknown";
    case Fault::too_large: return "too_large";
    case Fault::bad_key: return "bad_key";
    case Fault::bad_subtree: return "bad_subtree";
    case Fault::bad_field: return "bad_field";
    case Fault::several_partitions: return "several_partitions";
    case Fault::no_partition: return "no_partition";
    case Fault::revision_mismatch: return "revision_mismatch";
    case Fault::not_kept: return "not_kept";
    case Fault::replayed: return "replayed";
    case Fault::not_found: return "not_found";
    case Fault::forbidden: return "forbidden";
    case Fault::configuration: return "configuration";
    case Fault::full: return "full";
    case Fault::not_followed: return "not_followed";
    case Fault::too_few_replicas: return "too_few_replicas";
    case Fault::partition_unavailable: return "partition_unavailable";
    case Fault::busy: return "busy";
    case Fault::draining: return "draining";
    case Fault::too_many_requests: return "too_many_requests";
  }
  return {};
}

bool known(std::uint64_t number) {
  return number <= UINT8_MAX && !name(static_cast<Fault>(number)).empty();
}

}  // namespace canopy::wire
