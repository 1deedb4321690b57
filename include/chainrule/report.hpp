#pragma once

#include <string>

#include <chainrule/export.hpp>

namespace chainrule {

/// Renders `folder`/report.html from what a run has left in its folder: one page that loads nothing from
/// outside. Files that are missing leave their sections out. `command` is what the page shows for making the
/// run again: by default what the run's record says. Throws IoError where run.json is missing or a file is damaged.
CHAINRULE_API void write_report(const std::string& folder, const std::string& command = {});

}  // namespace chainrule
