#include <chainrule/version.hpp>

namespace chainrule {

const char* version() noexcept { return CHAINRULE_VERSION; }

}  // namespace chainrule
