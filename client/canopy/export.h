// What the shared library shows of itself.
#pragma once

#define CANOPY_EXPORT __attribute__((visibility("default")))
