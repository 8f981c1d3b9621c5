#include "telemetry/server_families.h"

#include "telemetry/family_list.h"

namespace dbrx {
namespace {

double number(int64_t n) { return static_cast<double>(n); }

void add_files(const std::vector<FileSample>& files, FamilyList& out) {
  if (files.empty()) return;
  out.gauge(
      "dbrx:file_last_read_successful",
      "Whether a file could be used when it was read last; else its old content is in force.");
  for (const FileSample& file : files) {
    out.gauge_of({{"file", file.name}}, file.last_read_successful ? 1 : 0);
  }
  out.counter("dbrx:file_failed_reads_total", "Times that a file was read and could not be used.");
  for (const FileSample& file : files) {
    out.counter_of({{"file", file.name}}, number(file.failed_reads));
  }
}

void add_sample(const ServerSample& sample, FamilyList& out) {
  out.gauge("dbrx:ready", "Whether the server takes requests, as /readyz says it.",
            sample.is_ready ? 1 : 0);
  out.gauge("dbrx:text_tasks_waiting", "Tasks of requests that no text worker has begun.",
            number(sample.texts_waiting));
  out.gauge("dbrx:grammars_waiting", "Requests that wait for the turn of their new grammar.",
            number(sample.grammars_waiting));
  add_files(sample.files, out);
  if (!sample.certificate_expiry) return;
  out.gauge("dbrx:certificate_expiry_timestamp_seconds",
            "When the first certificate of the chain expires, since 1970.",
            number(*sample.certificate_expiry));
}

void add_http(const HttpSample& sample, FamilyList& out) {
  out.gauge("dbrx:connections", "Open connections: idle ones wait for a request.");
  out.gauge_of({{"state", "idle"}}, number(sample.idle_connections));
  out.gauge_of({{"state", "active"}}, number(sample.active_connections));
  out.counter("dbrx:connections_accepted_total", "Connections, refused ones too.",
              number(sample.accepted));
  out.counter("dbrx:connections_refused_total",
              "Connections that found no place (of probes, which are answered even so, those that "
              "were not), and failed handshakes of TLS.");
  out.counter_of({{"reason", "max_connections"}}, number(sample.refused_full));
  out.counter_of({{"reason", "max_connections_per_peer"}}, number(sample.refused_of_peer));
  out.counter_of({{"reason", "tls_handshake"}}, number(sample.failed_handshakes));
  out.counter("dbrx:connections_closed_for_room_total",
              "Connections that waited for a request and were closed for new ones.",
              number(sample.closed_for_room));
  out.gauge("dbrx:request_body_bytes",
            "Bytes of request bodies that arrive, or wait to be read by their handlers.",
            number(sample.body_bytes));
  out.counter("dbrx:request_bodies_refused_total", "Request bodies for which memory was lacking.",
              number(sample.bodies_refused));
}

}  // namespace

std::vector<prometheus::MetricFamily> server_families(const MetricsOptions& options) {
  FamilyList out;
  out.gauge("dbrx:build_info", "The program, and what decides the bits of its answers.");
  out.gauge_of({{"version", options.version}, {"fingerprint", options.fingerprint}}, 1);
  if (options.memory_limit > 0) {
    out.gauge("dbrx:memory_limit_bytes", "Memory that this process may use.",
              number(options.memory_limit));
  }
  if (options.queue_limit > 0) {
    out.gauge("dbrx:queue_limit", "Requests that may wait; further ones get 429.",
              number(options.queue_limit));
  }
  if (options.log_lines_dropped) {
    out.counter("dbrx:log_lines_dropped_total", "Lines of the log that nobody read in time.",
                number(options.log_lines_dropped()));
  }
  if (options.server) add_sample(options.server(), out);
  if (options.http) add_http(options.http(), out);
  return out.take();
}

}  // namespace dbrx
