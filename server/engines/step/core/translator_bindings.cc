// The Python bindings of the translator. They release the interpreter lock while a model loads and during a step.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "translator.h"

namespace nb = nanobind;
using namespace nb::literals;
using hearth::step::Config;
using hearth::step::Decoding;
using hearth::step::Sentences;
using hearth::step::Translator;

namespace {

nb::list step(Sentences& sentences) {
  std::vector<hearth::step::Finished> finished;
  {
    const nb::gil_scoped_release unlocked;
    finished = sentences.step();
  }
  nb::list rows;
  for (auto& each : finished) {
    nb::list hypotheses;
    for (auto& h : each.hypotheses)
      hypotheses.append(nb::make_tuple(std::move(h.tokens), h.score, std::move(h.alignment)));
    rows.append(nb::make_tuple(each.row, hypotheses));
  }
  return rows;
}

nb::dict inspect(const std::string& path, const Config& config) {
  const auto shape = hearth::step::read_translator(hearth::step::ModelFile(path), config);
  nb::dict facts;
  facts["source_vocabulary"] = shape.source_vocabulary;
  facts["vocabulary"] = shape.vocabulary;
  facts["positions"] = shape.positions;
  facts["zero_start"] = shape.zero_start;
  return facts;
}

}  // namespace

void bind_translator(nb::module_& m) {
  m.def("inspect_translator", &inspect, "path"_a, "config"_a,
        "Read an encoder-decoder's header and check all of its shapes without loading weights.");
  nb::class_<Translator>(m, "Translator")
      .def(nb::init<const std::string&, const Config&, const std::string&>(), "path"_a, "config"_a,
           "instruction_set"_a = "", nb::call_guard<nb::gil_scoped_release>());
  nb::class_<Sentences>(m, "Sentences")
      .def(nb::init<const Translator&>(), "translator"_a, nb::keep_alive<1, 2>())
      .def(
          "open",
          [](Sentences& s, std::vector<std::int32_t> source, std::vector<std::int32_t> shortlist, int max_tokens,
             int end, int start, std::vector<std::int32_t> prefix, std::vector<std::int32_t> banned, int beam,
             int hypotheses, float repetition_penalty, int no_repeat_ngram, bool alignment) {
            return s.open(std::move(source), std::move(shortlist),
                          Decoding{max_tokens, end, start, std::move(prefix), std::move(banned), beam, hypotheses,
                                   repetition_penalty, no_repeat_ngram, alignment});
          },
          "source"_a, "shortlist"_a = std::vector<std::int32_t>(), nb::kw_only(), "max_tokens"_a, "end"_a,
          "start"_a = -1, "prefix"_a = std::vector<std::int32_t>(), "banned"_a = std::vector<std::int32_t>(),
          "beam"_a = 1, "hypotheses"_a = 1, "repetition_penalty"_a = 1.f, "no_repeat_ngram"_a = 0,
          "alignment"_a = false)
      .def("close", &Sentences::close, "row"_a)
      .def("step", &step)
      .def("__len__", &Sentences::size);
}
