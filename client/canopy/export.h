// Marks the symbols that the shared library exports.
#pragma once

#define CANOPY_EXPORT __attribute__((visibility("default")))
