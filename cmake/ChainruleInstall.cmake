include(GNUInstallDirs)
install(TARGETS chainrule EXPORT chainrule-targets)
install(DIRECTORY include/chainrule DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
