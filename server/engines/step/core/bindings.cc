// The Python bindings of the decoder. They release the interpreter lock while a model loads and during a step.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <bit>

#include "bindings.h"
#include "decoder.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;
using hearth::step::Choice;
using hearth::step::Config;
using hearth::step::Decoder;
using hearth::step::NoToken;
using hearth::step::SamplingOptions;
using hearth::step::Work;

namespace {

// The likeliest tokens as bytes: their ids (int32), then their log-probabilities (float32), the form of Token.top in
// server/engines/rows.py.
nb::bytes packed(const std::vector<std::pair<std::int32_t, float>>& top) {
  std::vector<std::uint32_t> words(2 * top.size());
  for (std::size_t i = 0; i < top.size(); ++i) {
    words[i] = std::bit_cast<std::uint32_t>(top[i].first);
    words[top.size() + i] = std::bit_cast<std::uint32_t>(top[i].second);
  }
  return nb::bytes(words.data(), words.size() * sizeof(std::uint32_t));
}

std::vector<Work> works_of(const std::vector<int>& rows, const std::vector<int>& counts) {
  if (rows.size() != counts.size()) throw std::invalid_argument("as many counts as rows are needed");
  std::vector<Work> works;
  works.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) works.push_back({rows[i], counts[i]});
  return works;
}

nb::tuple step(Decoder& decoder, const std::vector<int>& rows, const std::vector<int>& counts, const nb::dict& masks) {
  auto works = works_of(rows, counts);
  for (const auto& [key, value] : masks) {  // the dictionary keeps the bytes alive without the lock
    const auto mask = nb::cast<nb::bytes>(value);
    auto& work = works.at(nb::cast<std::size_t>(key));
    work.mask = reinterpret_cast<const std::uint32_t*>(mask.data());  // Python aligns bytes to words
    work.mask_words = mask.size() / sizeof(std::uint32_t);
  }
  std::vector<Choice> choices;
  {
    const nb::gil_scoped_release unlocked;
    choices = decoder.step(works);
  }
  nb::list ids;
  nb::dict reports;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    ids.append(choices[i].id);
    if (choices[i].reported) reports[nb::int_(i)] = nb::make_tuple(choices[i].logprob, packed(choices[i].top));
  }
  return nb::make_tuple(ids, reports);
}

using Table = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

// The floats as an array of this many columns, without a copy.
Table table_of(std::vector<float> floats, std::size_t width) {
  auto values = std::make_unique<std::vector<float>>(std::move(floats));
  auto* data = values->data();
  const auto height = values->size() / width;
  nb::capsule owner(values.release(), [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return {data, {height, width}, owner};
}

Table logits(Decoder& decoder, const std::vector<int>& rows, const std::vector<int>& counts) {
  const auto works = works_of(rows, counts);
  std::vector<float> values;
  {
    const nb::gil_scoped_release unlocked;
    values = decoder.logits(works);
  }
  return table_of(std::move(values), static_cast<std::size_t>(decoder.vocabulary()));
}

nb::list inputs(Decoder& decoder, int row, int count) {
  std::vector<hearth::step::LayerInputs> found;
  {
    const nb::gil_scoped_release unlocked;
    found = decoder.inputs({row, count});
  }
  nb::list layers;
  for (auto& layer : found) {
    nb::list tables;
    for (auto& floats : layer) {
      const auto width = floats.size() / static_cast<std::size_t>(count);
      tables.append(table_of(std::move(floats), width));
    }
    layers.append(tables);
  }
  return layers;
}

nb::dict inspect(const std::string& path, const Config& config) {
  const auto a = hearth::step::read_architecture(hearth::step::ModelFile(path), config);
  nb::dict facts;
  facts["vocabulary"] = a.vocabulary;
  facts["layers"] = a.layers;
  facts["width"] = a.width;
  facts["positions"] = a.positions;
  return facts;
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "The decode engine's core: see decoder.h.";
  // NOLINTBEGIN(bugprone-throw-keyword-missing, bugprone-unused-raii): nanobind registers a class so.
  nb::exception<hearth::step::ModelError>(m, "ModelError", PyExc_ValueError);
  nb::exception<hearth::step::Unsupported>(m, "Unsupported", PyExc_ValueError);
  nb::exception<hearth::step::Incomplete>(m, "Incomplete", PyExc_ValueError);
  // NOLINTEND(bugprone-throw-keyword-missing, bugprone-unused-raii)

  nb::class_<Config>(m, "Config")
      .def(
          "__init__",
          [](Config* c, double epsilon, double final_softcap, double attention_softcap) {
            new (c) Config{epsilon, final_softcap, attention_softcap};
          },
          nb::kw_only(), "epsilon"_a = -1.0, "final_softcap"_a = -1.0, "attention_softcap"_a = -1.0);

  m.def("inspect", &inspect, "path"_a, "config"_a,
        "Read a model's header and check all of its shapes without loading weights.");
  m.def("instruction_sets", &hearth::step::kernel_names, "The kernels that run on this processor, the best first.");
  nb::enum_<NoToken>(m, "NoToken", nb::is_arithmetic(),
                     "Stands in an id's place where a step chose no token for a row.")
      .value("NONE_ALLOWED", NoToken::kNoneAllowed)
      .value("PROMPT_PENDING", NoToken::kPromptPending);
  m.attr("BLOCK_TOKENS") = hearth::step::kBlockTokens;

  bind_translator(m);
  nb::class_<Decoder>(m, "Decoder")
      .def(nb::init<const std::string&, const Config&, int, const std::string&, int, std::size_t>(), "path"_a,
           "config"_a, "threads"_a, "instruction_set"_a, "context_tokens"_a, "cache_bytes"_a,
           nb::call_guard<nb::gil_scoped_release>())
      .def(
          "open",
          [](Decoder& d, std::vector<std::int32_t> prompt, float temperature, int top_k, float top_p, float min_p,
             float repetition_penalty, float presence_penalty, float frequency_penalty,
             std::vector<std::pair<std::int32_t, float>> bias, std::uint64_t seed, std::vector<std::int32_t> stop_ids,
             int min_tokens, std::optional<int> logprobs, int scored) {
            SamplingOptions o{temperature,
                              top_p,
                              min_p,
                              top_k,
                              repetition_penalty,
                              presence_penalty,
                              frequency_penalty,
                              std::move(bias),
                              seed,
                              std::move(stop_ids),
                              min_tokens,
                              logprobs};
            return d.open(std::move(prompt), std::move(o), scored);
          },
          "prompt"_a, nb::kw_only(), "temperature"_a = 0.f, "top_k"_a = 0, "top_p"_a = 1.f, "min_p"_a = 0.f,
          "repetition_penalty"_a = 1.f, "presence_penalty"_a = 0.f, "frequency_penalty"_a = 0.f,
          "bias"_a = std::vector<std::pair<std::int32_t, float>>(), "seed"_a = 0,
          "stop_ids"_a = std::vector<std::int32_t>(), "min_tokens"_a = 0, "logprobs"_a = nb::none(),
          "scored"_a = hearth::step::kNeverScored)
      .def("append", &Decoder::append, "row"_a, "ids"_a)
      .def("close", &Decoder::close, "row"_a)
      .def("reserve", &Decoder::reserve, "row"_a, "count"_a)
      .def("preempt", &Decoder::preempt, "row"_a)
      .def("pending", &Decoder::pending, "row"_a)
      .def("cached", &Decoder::cached, "row"_a)
      .def("step", &step, "rows"_a, "counts"_a, "masks"_a = nb::dict())
      .def("logits", &logits, "rows"_a, "counts"_a)
      .def("inputs", &inputs, "row"_a, "count"_a)
      .def("forget_prefixes", &Decoder::forget_prefixes)
      .def_prop_ro("vocabulary", &Decoder::vocabulary)
      .def_prop_ro("context_tokens", &Decoder::context_tokens)
      .def_prop_ro("blocks", &Decoder::blocks)
      .def_prop_ro("available_blocks", &Decoder::available_blocks)
      .def_prop_ro("weight_bytes", &Decoder::weight_bytes)
      .def_prop_ro("block_bytes", &Decoder::block_bytes)
      .def_prop_ro("instruction_set", &Decoder::instruction_set);
}
