#include <canopy/version.h>

namespace canopy {

const char* version() noexcept { return CANOPY_VERSION; }

}  // namespace canopy
