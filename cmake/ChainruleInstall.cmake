# cmake --install: the library, its headers, the CMake package, the pkg-config file, the program.
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/chainrule)

install(TARGETS chainrule EXPORT chainrule-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/chainrule DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT chainrule-targets NAMESPACE chainrule:: DESTINATION ${package_folder})
install(FILES LICENSE THIRD_PARTY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY licences DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET chainrule_cli)
  set_target_properties(chainrule_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS chainrule_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(cmake/chainrule-config.cmake.in chainrule-config.cmake
  INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(chainrule-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/chainrule-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/chainrule-config-version.cmake cmake/ChainruleLinked.cmake
  DESTINATION ${package_folder})

# Whoever links the static library links what it uses; the shared one knows by itself.
set(pc_requires "Requires.private: zlib libhwy")
set(pc_libs "Libs.private: -pthread")
if(NOT BUILD_SHARED_LIBS)
  set(pc_requires "Requires: zlib libhwy")
  set(pc_libs "")
  set(pc_static " -pthread")
endif()
file(RELATIVE_PATH pc_includedir "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/chainrule.pc.in chainrule.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/chainrule.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
