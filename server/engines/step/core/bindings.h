// The parts of the Python module, each in a source file of its own.
#pragma once
#include <nanobind/nanobind.h>

void bind_translator(nanobind::module_& m);
