#pragma once

#include <unordered_map>
#include <vector>

#include "graph/device.hpp"

/// The families of the CPU's kernel table, one file each.
namespace chainrule {

using KernelTable = std::unordered_map<const OpDef*, std::vector<Kernel>>;

void add_control_kernels(KernelTable& table);  // table_control.cpp: scan
void add_row_kernels(KernelTable& table);      // table_rows.cpp: softmax and its kin
void add_update_kernels(KernelTable& table);   // table_updates.cpp: optimizers
void add_index_kernels(KernelTable& table);    // table_index.cpp: gather, scatter, sort, scans

/// For kernels that walk strides themselves.
inline bool any_layout(const kernels::Array&, std::size_t) { return true; }

}  // namespace chainrule
