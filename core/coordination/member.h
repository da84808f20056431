// The members of the directory (core/wire/member.h), which the coordination service keeps.
#pragma once

#include "core/wire/member.h"

namespace canopy::coordination {

using wire::parse_proxy_member;
using wire::parse_shard_member;
using wire::parse_vitals;
using wire::PartitionState;
using wire::ProxyMember;
using wire::ShardMember;
using wire::state_of;
using wire::to_json;
using wire::Triple;
using wire::Vitals;

}  // namespace canopy::coordination
