// `dbrx perplexity`: how well a model predicts a text, and how far it is from a reference model.
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "model/quality.h"
#include "tensor/json.h"
#include "text/tokenizer.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr size_t kMaxTextBytes = size_t{1} << 30;
constexpr int64_t kDefaultWindow = 2048;

struct PerplexityFlags {
  std::string model_dir;
  std::string reference_dir;
  std::string text_file;
  std::string activations = "exact";
  std::string kv_format = "bf16";
  std::string isa;
  std::string json_file;
  std::string routing_file;
  int64_t window = 0;  // 0: kDefaultWindow or the model's longest sequence
  int threads = 0;
  bool special = false;
};

// One text, or one a line for JSON lines.
std::vector<std::string> read_texts(const std::string& path) {
  std::string content = read_text_file(path, kMaxTextBytes);
  if (!path.ends_with(".jsonl")) return {std::move(content)};
  std::vector<std::string> texts;
  std::istringstream lines(content);
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = path + ": line " + std::to_string(++number);
    const json::object object = parse_json_object(line, where);
    const json::value* text = object.if_contains("text");
    if (text == nullptr || !text->is_string()) {
      throw Error(Code::invalid_argument, where + ": expected a string 'text'");
    }
    texts.emplace_back(text->get_string());
  }
  return texts;
}

std::vector<std::vector<int32_t>> read_tokens(const PerplexityFlags& flags, int64_t vocab_size) {
  const Tokenizer tokenizer = Tokenizer::load(flags.model_dir);
  if (tokenizer.n_ids() > vocab_size) {
    throw Error(Code::corrupt, flags.model_dir + ": the tokenizer has more ids than the model");
  }
  std::vector<std::vector<int32_t>> tokens;
  for (const std::string& text : read_texts(flags.text_file)) {
    tokens.push_back(
        tokenizer.encode(text, flags.special ? Specials::as_tokens : Specials::as_text));
  }
  return tokens;
}

// A line per token: the experts of each layer, as `dbrx bench --routing` reads them.
void write_routing(std::ostream& out, const ModelConfig& config, const StepOutput& output,
                   int64_t n_rows) {
  for (int64_t row = 0; row < n_rows; ++row) {
    json::array layers;
    for (int64_t layer = 0; layer < config.n_layers; ++layer) {
      const auto begin = output.expert_ids.begin() + (layer * n_rows + row) * config.top_k;
      layers.push_back(json::array(begin, begin + config.top_k));
    }
    out << json::serialize(layers) << '\n';
  }
}

json::object report_of(const PerplexityFlags& flags, const Model& model, const Model* reference,
                       int64_t window, const Quality& quality) {
  const auto about = [&](const std::string& dir, const Model& which) {
    const Format format = which.weight_format();
    return json::object{{"path", dir},
                        {"format", format_info(format).name},
                        {"activations", is_integer(format) ? flags.activations : "float"}};
  };
  json::object report = {{"model", about(flags.model_dir, model)},
                         {"text", flags.text_file},
                         {"window", window},
                         {"kv_cache", flags.kv_format},
                         {"positions", quality.n_positions},
                         {"predicted", quality.n_predicted},
                         {"perplexity", quality.perplexity}};
  if (!quality.divergence) return report;
  const Divergence& d = *quality.divergence;
  report["reference"] = about(flags.reference_dir, *reference);
  report["reference_perplexity"] = d.reference_perplexity;
  report["mean_kl"] = d.mean_kl;
  report["p99_kl"] = d.p99_kl;
  report["max_kl"] = d.max_kl;
  report["top1_agreement"] = d.top1_agreement;
  report["router_agreement"] = json::array(d.router_agreement.begin(), d.router_agreement.end());
  return report;
}

void print_report(const Quality& quality, int64_t window) {
  std::printf("tokens predicted        %ld, in windows of %ld\n", quality.n_predicted, window);
  std::printf("perplexity              %.4f\n", quality.perplexity);
  if (!quality.divergence) return;
  const Divergence& d = *quality.divergence;
  std::printf("reference's perplexity  %.4f\n", d.reference_perplexity);
  std::printf("KL from the reference   mean %.6f, 99 %% at most %.5f, largest %.3f nats\n",
              d.mean_kl, d.p99_kl, d.max_kl);
  std::printf("same top token          %.2f %%\n", d.top1_agreement * 100);
  std::printf("same experts, by layer ");
  for (const double share : d.router_agreement) std::printf(" %.2f", share * 100);
  std::printf(" %%\n");
}

void show_progress(int64_t done, int64_t total) {
  std::fprintf(stderr, "\rtokens: %ld of %ld%s", done, total, done == total ? "\n" : "");
}

std::ofstream open_output(const std::string& path) {
  std::ofstream file(path);
  if (!file) throw Error(Code::invalid_argument, path + ": can't write");
  return file;
}

void close_output(std::ofstream& file, const std::string& path) {
  file.close();
  if (!file) throw Error(Code::resource_exhausted, path + ": can't write");
}

int perplexity(const PerplexityFlags& flags) {
  const ThreadPlan plan = plan_threads(find_topology(), flags.threads, Pin::automatic);
  interleave_memory(plan);
  Context context(choose_isa(flags.isa), plan);
  context.pool.enter();
  const ModelConfig config = load_config(flags.model_dir);
  const std::vector<std::vector<int32_t>> texts = read_tokens(flags, config.vocab_size);
  std::ofstream routing;
  if (!flags.routing_file.empty()) routing = open_output(flags.routing_file);
  LoadOptions load;
  load.activations = flags.activations == "fast" ? Activations::fast : Activations::exact;
  const std::unique_ptr<Model> model = load_model(flags.model_dir, load);
  std::unique_ptr<Model> reference;
  if (!flags.reference_dir.empty()) reference = load_model(flags.reference_dir, load);

  QualityOptions options;
  options.window = flags.window > 0 ? flags.window : std::min(kDefaultWindow, config.max_seq_len);
  options.kv_format = find_format(flags.kv_format).value();
  if (routing.is_open()) {
    options.on_step = [&](const StepOutput& output, int64_t n_rows) {
      write_routing(routing, config, output, n_rows);
    };
  }
  if (isatty(STDERR_FILENO) != 0) options.progress = show_progress;
  const Quality quality = measure_quality(context, *model, reference.get(), texts, options);
  print_report(quality, options.window);
  if (routing.is_open()) close_output(routing, flags.routing_file);
  if (!flags.json_file.empty()) {
    std::ofstream file = open_output(flags.json_file);
    file << json::serialize(report_of(flags, *model, reference.get(), options.window, quality))
         << '\n';
    close_output(file, flags.json_file);
  }
  return 0;
}

}  // namespace

CommandMain setup_perplexity(CLI::App& app) {
  auto flags = std::make_shared<PerplexityFlags>();
  app.add_option("-m,--model", flags->model_dir, "model directory")->required();
  app.add_option("--reference", flags->reference_dir, "model to compare each prediction with");
  app.add_option("--text", flags->text_file,
                 "file of one text, or of JSON lines {\"text\": ...} (its name ends in .jsonl)")
      ->required();
  app.add_flag("--special", flags->special,
               "names of special tokens in the text become those tokens (default: plain text)");
  app.add_option("--window", flags->window,
                 "tokens that see each other (default: 2048, or the model's longest sequence)")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 31));
  app.add_option("--activations", flags->activations,
                 "of packed weights: exact (16 bits) or fast (8 bits)")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->capture_default_str();
  app.add_option("--kv-cache-dtype", flags->kv_format, "bf16, int8 or f32")
      ->check(CLI::IsMember({"bf16", "int8", "f32"}))
      ->capture_default_str();
  app.add_option("--record-routing", flags->routing_file,
                 "write each token's experts, for dbrx bench --routing");
  app.add_option("-t,--threads", flags->threads, "default: one for each core")
      ->check(CLI::Range(1, 4096));
  app.add_option("--isa", flags->isa, "highest instruction set");
  app.add_option("--json", flags->json_file, "write the numbers as JSON too");
  return [flags] { return perplexity(*flags); };
}

}  // namespace dbrx
