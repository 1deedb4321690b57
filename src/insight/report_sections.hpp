#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "insight/report.hpp"

/// The sections of the report, one function each. A function whose data is missing returns an empty
/// section, which the page leaves out.
namespace chainrule::report {

struct Section {
  std::string id;     ///< anchor
  std::string title;  ///< heading
  std::string html;   ///< content; empty: no section
};

Section preflight_section(const ReportData& data);
Section learning_section(const ReportData& data);
Section layers_section(const ReportData& data);
Section mistakes_section(const ReportData& data);
Section confidence_section(const ReportData& data);
Section boundary_section(const ReportData& data);
Section regression_section(const ReportData& data);
Section model_section(const ReportData& data);
Section reproduction_section(const ReportData& data);

/// The run's one sentence: test result, epochs, seconds, threads, best epoch.
std::string summary_sentence(const ReportData& data);

/// The verdict's box; empty without a diagnosis.
std::string verdict_box(const ReportData& data);

/// At most `limit` indices below `count`, evenly spaced, the first and the last among them.
std::vector<std::size_t> thinned(std::size_t count, std::size_t limit);

/// The name of a class, or its number where the run has no names.
std::string class_name(const ReportData& data, std::size_t index);

/// A metric as people write it: `R²` for `r2`, `RMSE` for `rmse`; others as they are.
std::string metric_name(const std::string& name);

/// One entry of a chart's key.
struct KeyEntry {
  std::string style;  ///< class of its swatch: c1 … c4, gap, ideal, mark
  std::string label;
};

/// `<figure>` with a caption, a key, the drawing and the link to its numbers.
std::string figure(std::string_view title, const std::vector<KeyEntry>& key, std::string_view drawing,
                   std::string_view note, std::string_view download);

}  // namespace chainrule::report
