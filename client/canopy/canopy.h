// The C++ client library of Canopy, a live key-value tree that many processes share.
//
//   canopy::Client client;                                      // finds the cluster by its broker
//   auto watching = client.watch("/news/", [](const canopy::Change& change) { … });
//   client.put("/news/today", "rain");
//
// client.h: reading, writing and watching, with threads and lifetime. map.h: a live local copy of a
// subtree. error.h: why a call failed. docs/reference/protocol.md specifies the protocol.
#pragma once

#include <canopy/client.h>
#include <canopy/error.h>
#include <canopy/map.h>
#include <canopy/types.h>
#include <canopy/version.h>
