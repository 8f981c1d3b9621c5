// `dbrx bench`: how fast this machine runs the model, as shares of what the machine can do.
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "apps/bench_compare.h"
#include "apps/bench_steps.h"
#include "apps/commands.h"
#include "base/error.h"
#include "kernels/roof/roof.h"
#include "model/synthetic.h"

namespace dbrx {
namespace {

namespace json = boost::json;

struct BenchFlags {
  std::string model_dir;
  std::string synthetic;
  std::string format = "int4";
  std::string activations = "exact";
  std::string isa;
  std::string json_file;
  std::vector<int64_t> sequences = {1, 4, 8};
  std::vector<int64_t> prefill = {128, 512};
  std::vector<int64_t> contexts = {0};
  int64_t n_layers = 4;
  int64_t vocab_size = 4096;
  int threads = 0;
  int rounds = 5;
};

struct Sample {
  double rate = 0;   // tokens per second
  double share = 0;  // of the roof of the same round
};

struct Row {
  BenchCase bench_case;
  std::vector<Sample> samples;
};

constexpr int64_t kRoofBytes = int64_t{1} << 30;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <typename T, typename Field>
double median_of(const std::vector<T>& all, const Field& field) {
  std::vector<double> values;
  for (const T& one : all) values.push_back(field(one));
  return median(std::move(values));
}

Activations activations_of(const BenchFlags& flags) {
  return flags.activations == "fast" ? Activations::fast : Activations::exact;
}

Format format_of(const std::string& name) {
  return name == "int8" ? Format::int8 : name == "bf16" ? Format::bf16 : Format::int4;
}

std::unique_ptr<Model> make_model(Context& context, const BenchFlags& flags) {
  if (!flags.model_dir.empty()) {
    return load_model(flags.model_dir, {.activations = activations_of(flags), .progress = {}});
  }
  const Format experts = format_of(flags.format);
  return synthetic_dbrx(context, {.n_layers = flags.n_layers,
                                  .vocab_size = flags.vocab_size,
                                  .experts = experts,
                                  .dense = is_integer(experts) ? Format::int8 : experts,
                                  .activations = activations_of(flags)});
}

std::vector<Row> make_rows(const BenchFlags& flags) {
  std::vector<Row> rows;
  for (const int64_t context : flags.contexts) {
    for (const int64_t n : flags.sequences) {
      rows.push_back({{.prefill = false, .sequences = n, .tokens = n, .context = context}, {}});
    }
  }
  for (const int64_t n : flags.prefill) {
    rows.push_back({{.prefill = true, .sequences = 1, .tokens = n, .context = 0}, {}});
  }
  return rows;
}

// Decode waits for memory, prefill of integer weights for products. A bf16 prefill has no roof
// here.
Sample sample_of(const BenchCase& c, const StepTime& time, const Roof& roof, bool integer) {
  const auto tokens = static_cast<double>(c.prefill ? c.tokens : c.sequences);
  double share = 0;
  if (!c.prefill) {
    const auto bytes = static_cast<double>(time.weight_bytes + time.kv_bytes);
    share = bytes / time.seconds / roof.read_bytes;
  } else if (integer) {
    share = static_cast<double>(time.products) / time.seconds / roof.int8_ops;
  }
  return {tokens / time.seconds, share};
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

json::object row_json(const BenchFlags& flags, Format format, const Row& row) {
  const BenchCase& c = row.bench_case;
  json::object out = {{"test", c.prefill ? "prefill" : "decode"},
                      {"format", format_info(format).name},
                      {"activations", is_integer(format) ? flags.activations : "float"},
                      {"sequences", c.sequences},
                      {"tokens", c.tokens},
                      {"context", c.context},
                      {"value", median_of(row.samples, [](const Sample& s) { return s.rate; })},
                      {"unit", "tokens/s"}};
  const double share = median_of(row.samples, [](const Sample& s) { return s.share; });
  out["share"] = share > 0 ? json::value(share) : json::value(nullptr);
  return out;
}

void print_row(const json::object& row) {
  std::printf("%-8s %-5s %-6s %5ld %6ld %7ld %10.2f", row.at("test").as_string().c_str(),
              row.at("format").as_string().c_str(), row.at("activations").as_string().c_str(),
              row.at("sequences").as_int64(), row.at("tokens").as_int64(),
              row.at("context").as_int64(), row.at("value").as_double());
  if (row.at("share").is_double()) std::printf(" %7.1f %%", row.at("share").as_double() * 100);
  std::printf("\n");
}

void show_progress(int done, int total) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, "\rround %d of %d%s", done, total, done == total ? "\n" : "");
}

int bench(const BenchFlags& flags) {
  if (flags.model_dir.empty() == flags.synthetic.empty()) {
    throw Error(Code::invalid_argument, "give one of --model DIR and --synthetic dbrx");
  }
  flush_denormals();
  Context context(choose_isa(flags.isa), flags.threads > 0 ? flags.threads : available_cpus());
  const int64_t before = resident_bytes();
  const std::unique_ptr<Model> model = make_model(context, flags);
  const Format format = model->weight_format();
  std::vector<Row> rows = make_rows(flags);
  std::vector<BenchCase> cases;
  for (const Row& row : rows) cases.push_back(row.bench_case);
  BenchSteps steps(context, *model, is_integer(format) ? Format::int8 : format,
                   activations_of(flags), cases);
  const std::vector<std::byte> memory(static_cast<size_t>(kRoofBytes), std::byte{1});
  for (const Row& row : rows) steps.run(row.bench_case);  // memory of steps is asked for once
  std::vector<Roof> roofs;
  for (int round = 0; round < flags.rounds; ++round) {
    show_progress(round, flags.rounds);
    for (Row& row : rows) {
      roofs.push_back(measure_roof(context, memory));
      row.samples.push_back(
          sample_of(row.bench_case, steps.run(row.bench_case), roofs.back(), is_integer(format)));
    }
  }
  show_progress(flags.rounds, flags.rounds);

  const double read = median_of(roofs, [](const Roof& r) { return r.read_bytes; });
  const double int8 = median_of(roofs, [](const Roof& r) { return r.int8_ops; });
  const double resident = static_cast<double>(resident_bytes() - before - kRoofBytes);
  json::object report = {
      {"machine",
       {{"cpu", cpu_name()},
        {"threads", context.pool.n_threads()},
        {"isa", isa_name(context.isa)},
        {"model", flags.model_dir.empty()
                      ? "synthetic dbrx, " + std::to_string(flags.n_layers) + " layers"
                      : flags.model_dir},
        {"resident_bytes", resident},
        {"version", DBRX_VERSION}}},
      {"roof", {{"read_bytes_per_s", read}, {"int8_ops_per_s", int8}}}};
  std::printf("%s, %d threads, %s; medians of %d rounds\n", cpu_name().c_str(),
              context.pool.n_threads(), std::string(isa_name(context.isa)).c_str(), flags.rounds);
  std::printf("roof: reads %.1f GB/s, int8 %.3f TOP/s; model in memory %.2f GB\n", read / 1e9,
              int8 / 1e12, resident / 1e9);
  std::printf("test     format acts  seqs tokens context   tokens/s    share\n");
  json::array& out = report["rows"].emplace_array();
  for (const Row& row : rows) {
    out.push_back(row_json(flags, format, row));
    print_row(out.back().get_object());
  }
  if (!flags.json_file.empty()) {
    std::ofstream file(flags.json_file);
    file << json::serialize(report) << "\n";
    file.close();
    if (!file) throw Error(Code::resource_exhausted, flags.json_file + ": can't write");
  }
  return 0;
}

}  // namespace

CommandMain setup_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  const CLI::Range sizes(int64_t{1}, int64_t{4096});
  app.add_option("-m,--model", flags->model_dir, "model directory");
  app.add_option("--synthetic", flags->synthetic, "random weights of this model's geometry: dbrx")
      ->check(CLI::IsMember({"dbrx"}));
  app.add_option("--layers", flags->n_layers, "of the synthetic model")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--vocab", flags->vocab_size, "of the synthetic model")
      ->check(CLI::Range(32, 1 << 20))
      ->capture_default_str();
  app.add_option("--format", flags->format, "of the synthetic experts: int4, int8, bf16")
      ->check(CLI::IsMember({"int4", "int8", "bf16"}))
      ->capture_default_str();
  app.add_option("--activations", flags->activations, "exact (16 bits) or fast (8 bits)")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  app.add_option("--sequences", flags->sequences, "decode: sequences in a step")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{1}, kMaxLogitRows))
      ->capture_default_str();
  app.add_option("--context", flags->contexts, "decode: tokens in the cache before")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  app.add_option("--prefill", flags->prefill, "prefill: tokens of a step")
      ->delimiter(',')
      ->check(sizes)
      ->capture_default_str();
  app.add_option("--rounds", flags->rounds)->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("-t,--threads", flags->threads, "default: all CPUs")->check(CLI::Range(1, 4096));
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
