# Every third-party package is found here and in ChainruleLinked.cmake, and nowhere else. All of them come from
# Debian 12; tools/install-dependencies.sh installs them.

include(ChainruleLinked)
# Headers alone: nothing of these is left in the interface or in the link line of the library.
find_package(fmt CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
if(CHAINRULE_CLI)
  find_package(CLI11 CONFIG REQUIRED)
endif()
