// The C++ client library of Canopy, a live key-value tree kept in step across many processes.
//
//   canopy::Client client;                                      // finds the cluster by its broker
//   auto watching = client.watch("/news/", [](const canopy::Change& change) { … });
//   client.put("/news/today", "hello");
//
// See client.h for reading, writing and watching, map.h for a live local copy of a subtree, error.h
// for what can go wrong.
#pragma once

#include <canopy/client.h>
#include <canopy/error.h>
#include <canopy/map.h>
#include <canopy/types.h>
#include <canopy/version.h>
