#include <cstring>

#include <chainrule/chainrule.hpp>

int main() { return std::strcmp(chainrule::version(), CHAINRULE_VERSION) == 0 ? 0 : 1; }
