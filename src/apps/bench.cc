// `dbrx bench`: how fast this machine runs the model, as shares of what the machine can do.
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "apps/bench_compare.h"
#include "apps/bench_kernels.h"
#include "apps/bench_mixed.h"
#include "apps/bench_rows.h"
#include "apps/bench_start.h"
#include "apps/bench_steps.h"
#include "apps/commands.h"
#include "base/error.h"
#include "base/limits.h"
#include "engine/engine.h"
#include "model/families.h"
#include "model/synthetic.h"
#include "model/synthetic_routing.h"

namespace dbrx {
namespace {

namespace json = boost::json;

struct BenchFlags {
  std::string model_dir;
  std::string synthetic;
  std::vector<std::string> tests = {"decode", "prefill"};
  std::vector<std::string> formats = {"int4"};
  std::vector<std::string> activations = {"exact"};
  std::string routing = "uniform";
  std::string load = "auto";
  std::string kv_format = "bf16";
  std::string isa;
  std::string json_file;
  std::vector<int64_t> sequences = {1, 4, 8};
  std::vector<int64_t> prefill = {128, 512};
  std::vector<int64_t> contexts = {0};
  std::vector<int64_t> kernel_rows = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512};
  int64_t n_layers = 4;
  int64_t vocab_size = 4096;
  int threads = 0;
  int rounds = 5;
  MixedLoad mixed;

  bool wants(const std::string& test) const {
    return std::find(tests.begin(), tests.end(), test) != tests.end();
  }
  bool wants_steps() const { return wants("decode") || wants("prefill") || wants("layer"); }
};

// What one pass over the tests is about: one of the formats with one kind of activations.
struct Subject {
  Format experts = Format::int4;
  Format dense = Format::int8;  // attention and head
  Format embedding = Format::bf16;
  Activations activations = Activations::exact;

  RowName name(const std::string& test) const {
    return {.test = test,
            .shape = {},
            .format = std::string(format_info(experts).name),
            .activations = !is_integer(experts)                ? "float"
                           : activations == Activations::exact ? "exact"
                                                               : "fast"};
  }
};

// Of the experts, without reading them: a packed model's loader looks at headers only, and of a
// float checkpoint they are the largest tensors.
Format stored_format(const std::string& model_dir) {
  const ModelConfig config = load_config(model_dir);
  const Checkpoint checkpoint = Checkpoint::open(model_dir);
  if (config.is_packed) {
    return find_family(config.family, model_dir).load(config, checkpoint, {})->weight_format();
  }
  const Tensor* largest = nullptr;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (largest == nullptr || tensor.bytes.size() > largest->bytes.size()) largest = &tensor;
  }
  return largest != nullptr && largest->format == Format::bf16 ? Format::bf16 : Format::f32;
}

Subject make_subject(Format experts, Activations activations, bool synthetic) {
  const Format dense = is_integer(experts) ? Format::int8 : experts;
  return {.experts = experts,
          .dense = dense,
          .embedding = synthetic ? Format::bf16 : dense,
          .activations = activations};
}

std::vector<Subject> make_subjects(const BenchFlags& flags) {
  const bool synthetic = !flags.synthetic.empty();
  std::vector<Format> formats;
  if (synthetic) {
    for (const std::string& name : flags.formats) formats.push_back(find_format(name).value());
  } else {
    formats.push_back(stored_format(flags.model_dir));
  }
  std::vector<Subject> subjects;
  for (const Format format : formats) {
    for (const std::string& name : flags.activations) {
      const Activations activations = name == "fast" ? Activations::fast : Activations::exact;
      subjects.push_back(make_subject(format, activations, synthetic));
      if (!is_integer(format)) break;  // has no activations to choose
    }
  }
  return subjects;
}

std::vector<int32_t> make_routing(const BenchFlags& flags, const ModelConfig& config) {
  constexpr uint32_t kSeed = 1;
  if (flags.routing == "uniform") return zipf_routing(config, 0, kSeed);
  if (flags.routing == "zipf") return zipf_routing(config, 1, kSeed);
  if (flags.routing.starts_with("zipf:")) {
    double exponent = -1;
    const char* end = flags.routing.data() + flags.routing.size();
    const auto [rest, error] = std::from_chars(flags.routing.data() + 5, end, exponent);
    if (error != std::errc() || rest != end || !(0 <= exponent && exponent <= 8)) {
      throw Error(Code::invalid_argument,
                  "--routing " + flags.routing + ": expected zipf:S with S from 0 to 8");
    }
    return zipf_routing(config, exponent, kSeed);
  }
  return read_routing(flags.routing, config);
}

std::unique_ptr<Model> make_model(Context& context, const BenchFlags& flags,
                                  const ModelConfig& config, const Subject& subject,
                                  const LoadOptions& load) {
  if (!flags.model_dir.empty()) return load_model(flags.model_dir, load);
  return synthetic_dbrx(context, {.config = config,
                                  .experts = subject.experts,
                                  .dense = subject.dense,
                                  .activations = subject.activations,
                                  .routing = make_routing(flags, config)});
}

struct StepCase {
  std::string test;
  StepShape shape;
};

std::vector<StepCase> make_steps(const BenchFlags& flags, const ModelConfig& config) {
  std::vector<StepShape> decode;
  std::vector<StepShape> prefill;
  for (const int64_t context : flags.contexts) {
    for (const int64_t n : flags.sequences) decode.push_back({n, 1, context});
    for (const int64_t n : flags.prefill) prefill.push_back({1, n, context});
  }
  std::vector<StepCase> cases;
  const auto add = [&](const char* test, const std::vector<StepShape>& shapes) {
    for (const StepShape& shape : shapes) cases.push_back({test, shape});
  };
  if (flags.wants("decode")) add("decode", decode);
  if (flags.wants("prefill")) add("prefill", prefill);
  if (flags.wants("layer")) {
    add("layer", decode);
    add("layer", prefill);
  }
  for (const auto& [test, shape] : cases) {
    if (shape.context + shape.tokens > config.max_seq_len) {
      throw Error(Code::invalid_argument, "--context " + std::to_string(shape.context) + " and " +
                                              std::to_string(shape.tokens) +
                                              " tokens: the model's longest sequence is " +
                                              std::to_string(config.max_seq_len));
    }
  }
  return cases;
}

void check_memory(int64_t weights, int64_t cache) {
  const int64_t memory = available_memory();
  if (resident_memory() + weights + cache < memory) return;
  char text[200];
  std::snprintf(
      text, sizeof text,
      "the model takes %.1f GB and its cache %.1f GB, this process may have %.1f GB: give fewer "
      "--layers, --sequences or less --context",
      static_cast<double>(weights) * 1e-9, static_cast<double>(cache) * 1e-9,
      static_cast<double>(memory) * 1e-9);
  throw Error(Code::resource_exhausted, text);
}

Sample sample_of(const StepCase& step, const StepTime& time, const Roof& roof) {
  if (step.test == "layer") {
    return {.value = time.layer_seconds * 1e3,
            .share = share_of_roof(time.layer_work, time.layer_seconds, roof)};
  }
  const auto tokens = static_cast<double>(step.shape.sequences * step.shape.tokens);
  return {.value = tokens / time.seconds, .share = share_of_roof(time.work, time.seconds, roof)};
}

// Decode, prefill and layer rows, and the memory that they leave behind.
void bench_steps(Context& context, RoofMeter& meter, const BenchFlags& flags,
                 const ModelConfig& config, const Subject& subject, const LoadOptions& load,
                 std::vector<BenchRow>& rows) {
  const std::vector<StepCase> cases = make_steps(flags, config);
  std::vector<StepShape> shapes;
  for (const StepCase& step : cases) shapes.push_back(step.shape);
  const int64_t weights = weight_bytes(config, subject.experts, subject.dense, subject.embedding);
  const Format kv_format = find_format(flags.kv_format).value();
  check_memory(weights, BenchSteps::cache_bytes(config, kv_format, shapes));
  const int64_t before = resident_memory();
  const std::unique_ptr<Model> model = make_model(context, flags, config, subject, load);
  BenchSteps steps(context, *model, subject.dense, subject.activations, kv_format, shapes);
  std::vector<BenchTest> tests;
  for (const StepCase& step : cases) {
    RowName name = subject.name(step.test);
    name.sequences = step.shape.sequences;
    name.tokens = step.shape.sequences * step.shape.tokens;
    name.context = step.shape.context;
    tests.push_back({.name = std::move(name),
                     .unit = step.test == "layer" ? "ms" : "tokens/s",
                     .run = [&steps, step](const Roof& roof) {
                       return sample_of(step, steps.run(step.shape), roof);
                     }});
  }
  run_tests(meter, tests, flags.rounds, rows);
  const auto resident = static_cast<double>(resident_memory() - before - steps.cache_bytes());
  const RoofShare share = {.share = static_cast<double>(weights) / resident, .roof = "weights"};
  rows.push_back({.name = subject.name("memory"),
                  .unit = "GB",
                  .samples = {{.value = resident * 1e-9, .share = share}}});
}

void bench_kernels(Context& context, RoofMeter& meter, const BenchFlags& flags,
                   const ModelConfig& config, const Subject& subject, std::vector<BenchRow>& rows) {
  if (subject.experts == Format::f32) {
    throw Error(Code::unsupported, "--test kernel: knows bf16, int8 and int4 weights only");
  }
  for (const KernelShape& shape : kernel_shapes(config)) {
    BenchKernel kernel(context, shape, subject.experts, subject.activations);
    std::vector<BenchTest> tests;
    for (const int64_t n : flags.kernel_rows) {
      RowName name = subject.name("kernel");
      name.shape = shape.name + " " + std::to_string(shape.in_features) + ">" +
                   std::to_string(shape.out_features);
      name.tokens = n;
      tests.push_back({.name = std::move(name),
                       .unit = "ms",
                       .run = [&kernel, n](const Roof& roof) { return kernel.run(n, roof); }});
    }
    run_tests(meter, tests, flags.rounds, rows);
  }
}

void bench_start(Context& context, RoofMeter& meter, const BenchFlags& flags,
                 const Subject& subject, const LoadOptions& load, std::vector<BenchRow>& rows) {
  std::vector<BenchTest> tests =
      start_tests(context, flags.model_dir, load, find_format(flags.kv_format).value());
  for (BenchTest& test : tests) {
    RowName name = subject.name("start");
    name.shape = test.name.shape;
    test.name = std::move(name);
  }
  run_tests(meter, tests, flags.rounds, rows);
}

void bench_mixed(Context& context, RoofMeter& meter, const BenchFlags& flags,
                 const ModelConfig& config, const Subject& subject, const LoadOptions& load,
                 std::vector<BenchRow>& rows) {
  const Format kv_format = find_format(flags.kv_format).value();
  check_memory(weight_bytes(config, subject.experts, subject.dense, subject.embedding),
               mixed_cache_bytes(config, kv_format, flags.mixed));
  const std::unique_ptr<Model> model = make_model(context, flags, config, subject, load);
  meter.now();
  bench_mixed(context, *model, kv_format, flags.mixed, subject.name("mixed"), rows);
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string model_name(const BenchFlags& flags) {
  if (!flags.model_dir.empty()) return flags.model_dir;
  return "synthetic dbrx, " + std::to_string(flags.n_layers) + " layers, vocabulary " +
         std::to_string(flags.vocab_size) + ", routing " + flags.routing;
}

void write_json(const std::string& path, const json::object& report) {
  std::ofstream file(path);
  file << json::serialize(report) << "\n";
  file.close();
  if (!file) throw Error(Code::resource_exhausted, path + ": can't write");
}

void check_flags(const BenchFlags& flags) {
  if (flags.model_dir.empty() == flags.synthetic.empty()) {
    throw Error(Code::invalid_argument, "give one of --model DIR and --synthetic dbrx");
  }
  if (flags.wants("start") && flags.model_dir.empty()) {
    throw Error(Code::invalid_argument, "--test start: needs files to read: give --model DIR");
  }
}

int bench(const BenchFlags& flags) {
  check_flags(flags);
  const ThreadPlan plan = plan_threads(find_topology(), flags.threads, Pin::automatic);
  interleave_memory(plan);
  Context context(choose_isa(flags.isa), plan);
  context.pool.enter();
  const ModelConfig config = flags.synthetic.empty()
                                 ? load_config(flags.model_dir)
                                 : dbrx_geometry(flags.n_layers, flags.vocab_size);
  RoofMeter meter(context);
  std::vector<BenchRow> rows;
  for (const Subject& subject : make_subjects(flags)) {
    const LoadOptions load = {
        .activations = subject.activations, .progress = {}, .load = flags.load, .threads = plan};
    if (flags.wants("start")) bench_start(context, meter, flags, subject, load, rows);
    if (flags.wants_steps()) bench_steps(context, meter, flags, config, subject, load, rows);
    if (flags.wants("mixed")) bench_mixed(context, meter, flags, config, subject, load, rows);
    if (flags.wants("kernel")) bench_kernels(context, meter, flags, config, subject, rows);
  }
  json::object report = {{"machine",
                          {{"cpu", cpu_name()},
                           {"threads", context.pool.n_threads()},
                           {"isa", isa_name(context.isa)},
                           {"model", model_name(flags)},
                           {"kv_cache", flags.kv_format},
                           {"rounds", flags.rounds},
                           {"version", DBRX_VERSION}}},
                         {"roof", meter.json()}};
  if (!flags.model_dir.empty()) report["machine"].as_object()["load"] = flags.load;
  json::array& out = report["rows"].emplace_array();
  for (const BenchRow& row : rows) out.push_back(row_json(row));
  std::printf("%s, %d threads, %s; medians of %d rounds\n%s, %s cache%s\n", cpu_name().c_str(),
              context.pool.n_threads(), std::string(isa_name(context.isa)).c_str(), flags.rounds,
              model_name(flags).c_str(), flags.kv_format.c_str(),
              flags.model_dir.empty() ? "" : (", --load " + flags.load).c_str());
  meter.print();
  print_rows(out);
  if (!flags.json_file.empty()) write_json(flags.json_file, report);
  return 0;
}

}  // namespace

CommandMain setup_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::Option* model = app.add_option("-m,--model", flags->model_dir, "model directory");
  CLI::Option* synthetic = app.add_option("--synthetic", flags->synthetic,
                                          "random weights of this model's geometry: dbrx")
                               ->check(CLI::IsMember({"dbrx"}));
  app.add_option("--test", flags->tests,
                 "decode, prefill, layer (one layer of these), kernel (each product alone), start "
                 "(load a model), mixed (prompts beside sequences that generate)")
      ->delimiter(',')
      ->check(CLI::IsMember({"decode", "prefill", "layer", "kernel", "start", "mixed"}))
      ->capture_default_str();
  app.add_option("--layers", flags->n_layers, "of the synthetic model")
      ->check(CLI::Range(1, 384))
      ->excludes(model)
      ->capture_default_str();
  app.add_option("--vocab", flags->vocab_size, "of the synthetic model")
      ->check(CLI::Range(32, 1 << 20))
      ->excludes(model)
      ->capture_default_str();
  app.add_option("--format", flags->formats, "of the synthetic experts: int4, int8, bf16")
      ->delimiter(',')
      ->check(CLI::IsMember({"int4", "int8", "bf16"}))
      ->excludes(model)
      ->capture_default_str();
  app.add_option("--routing", flags->routing,
                 "of the synthetic model: uniform, zipf, zipf:S (S 0.5 is milder than 1) or a file "
                 "(docs/performance.md)")
      ->excludes(model)
      ->capture_default_str();
  app.add_option("--activations", flags->activations, "exact (16 bits) and/or fast (8 bits)")
      ->delimiter(',')
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  app.add_option("--load", flags->load, "of a packed --model: auto, map or copy, as serve has it")
      ->check(CLI::IsMember({"auto", "map", "copy"}))
      ->excludes(synthetic)
      ->capture_default_str();
  app.add_option("--kv-cache-dtype", flags->kv_format, "bf16, int8 (half the memory) or f32")
      ->check(CLI::IsMember({"bf16", "int8", "f32"}))
      ->capture_default_str();
  app.add_option("--sequences", flags->sequences, "decode: sequences in a step")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, kMaxLogitRows))
      ->capture_default_str();
  app.add_option("--prefill", flags->prefill, "prefill: tokens of a step")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, int64_t{65536}))
      ->capture_default_str();
  app.add_option("--context", flags->contexts, "decode and prefill: tokens in the cache before")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  app.add_option("--kernel-rows", flags->kernel_rows, "kernel: rows of a product")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, int64_t{65536}))
      ->capture_default_str();
  MixedLoad& mixed = flags->mixed;
  app.add_option("--generating", mixed.sequences, "mixed: sequences that generate")
      ->check(CLI::Range(int64_t{1}, kMaxSequences - 16))
      ->capture_default_str();
  app.add_option("--prompt-tokens", mixed.prompt_tokens, "mixed: tokens of a prompt")
      ->check(CLI::Range(int64_t{1}, int64_t{24576}))
      ->capture_default_str();
  app.add_option("--prompt-every", mixed.prompt_every, "mixed: seconds from prompt to prompt")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--duration", mixed.seconds, "mixed: seconds")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  app.add_option("--prefill-slowdown", mixed.prefill_slowdown, "mixed: as serve has it")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  app.add_option("--rounds", flags->rounds)->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("-t,--threads", flags->threads, "default: one for each core")
      ->check(CLI::Range(1, 4096));
  app.add_option("--isa", flags->isa, "highest instruction set");
  app.add_option("--json", flags->json_file, "write the table as JSON too");
  CLI::App* compare = app.add_subcommand("compare", "Compare two reports of --json, row by row");
  auto files = std::make_shared<std::vector<std::string>>();
  compare->add_option("files", *files, "A.json B.json")->required()->expected(2);
  return [flags, files, compare] {
    if (!compare->parsed()) return bench(*flags);
    compare_reports((*files)[0], (*files)[1]);
    return 0;
  };
}

}  // namespace dbrx
