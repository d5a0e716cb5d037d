// The parts of the Python module. Each part has its own source file.
#pragma once
#include <nanobind/nanobind.h>

void bind_translator(nanobind::module_& m);
