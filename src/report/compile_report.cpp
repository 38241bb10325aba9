#include "report/compile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "report/table.h"
#include "support/json_writer.h"

namespace zp {

namespace {

void write_ops(JsonWriter& json, const std::map<std::string, int64_t>& ops) {
  json.key("ops").begin_object();
  for (const auto& [name, count] : ops) json.field(name, count);
  json.end_object();
}

void write_file(JsonWriter& json, std::string_view key, const FileFacts& file) {
  json.key(key)
      .begin_object()
      .field("path", file.path)
      .field("format", file.format)
      .field("bytes", file.bytes);
  json.field("nodes", file.nodes);
  write_ops(json, file.ops);
  json.end_object();
}

void write_strings(JsonWriter& json, std::string_view key, const std::vector<std::string>& strings) {
  json.key(key).begin_array();
  for (const std::string& s : strings) json.value(s);
  json.end_array();
}

void write_kept(JsonWriter& json, const std::vector<KeptRecord>& kept) {
  json.begin_array();
  for (const KeptRecord& k : kept) {
    json.begin_object()
        .field("node", k.node)
        .field("op", k.op)
        .field("pass", k.pass)
        .field("pattern", k.pattern);
    json.field("clause", k.clause)
        .field("wanted", k.wanted)
        .field("found", k.found)
        .field("text", k.text)
        .end_object();
  }
  json.end_array();
}

void write_number(JsonWriter& json, std::string_view key, const std::optional<double>& number) {
  json.key(key);
  if (number) json.value(*number);
  else json.null();
}

void write_noise(JsonWriter& json, std::string_view key, const std::optional<FoldNoise>& noise) {
  json.key(key);
  if (!noise) {
    json.null();
    return;
  }
  json.begin_object();
  write_number(json, "before", noise->before);
  write_number(json, "after", noise->after);
  write_number(json, "change", noise->change);
  json.end_object();
}

void write_fold(JsonWriter& json, const FoldFacts& fold) {
  json.key("fold")
      .begin_object()
      .field("channels", fold.channels)
      .field("saturated_bias", fold.saturated_bias)
      .field("coarser_weights", fold.coarser_weights);
  json.key("parameters").begin_array();
  for (const FoldFacts::Parameter& p : fold.parameters)
    json.begin_object().field("what", p.what).field("was", p.was).field("is", p.is).end_object();
  json.end_array().key("sqnr_db").begin_object();
  write_noise(json, "predicted", fold.predicted);
  write_noise(json, "measured", fold.measured);
  json.end_object().key("cut_off").begin_object();
  write_number(json, "before", fold.saturated_before);
  write_number(json, "after", fold.saturated_after);
  json.end_object().end_object();
}

std::string decibels(const std::optional<double>& db) { return db ? fmt::format("{:.1f}", *db) : "equal"; }

// "38.0 -> 44.1"
std::string before_after(const std::optional<FoldNoise>& noise) {
  return noise ? decibels(noise->before) + " -> " + decibels(noise->after) : "-";
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string joined(const std::vector<std::string>& parts, size_t at_most) {
  std::string out;
  for (size_t i = 0; i < parts.size() && i < at_most; ++i) out += (i ? ", " : "") + parts[i];
  if (parts.size() > at_most) out += fmt::format(", ... ({})", parts.size());
  return out;
}

}  // namespace

std::string report_json(const CompileReport& r) {
  JsonWriter json(1);
  json.begin_object().field("zeropoint", r.version).field("backend", r.backend).field("form", r.form);
  write_file(json, "input", r.input);
  write_file(json, "output", r.output);
  json.key("passes").begin_array();
  for (const auto& p : r.passes)
    json.begin_object().field("name", p.name).field("changes", p.changes).field("ms", p.ms).end_object();
  json.end_array().key("rewrites").begin_array();
  for (const RewriteRecord& w : r.records.rewrites) {
    json.begin_object().field("pass", w.pass).field("pattern", w.pattern);
    write_strings(json, "nodes", w.nodes);
    json.field("into", w.into).field("note", w.note).field("max_abs_change", w.max_abs_change);
    if (w.fold != nullptr) write_fold(json, *w.fold);
    json.end_object();
  }
  json.end_array().key("kept");
  write_kept(json, r.records.kept);
  write_strings(json, "warnings", r.records.warnings);
  write_strings(json, "needs_import", r.needs_import);
  json.key("verify");
  if (r.verify) {
    json.begin_object()
        .field("runs", r.verify->runs)
        .field("max_abs_error", r.verify->max_abs_error)
        .key("sqnr_db");
    if (r.verify->sqnr_db) json.value(*r.verify->sqnr_db);
    else json.null();
    json.key("first_difference");
    if (r.verify->first_difference.empty()) json.null();
    else json.value(r.verify->first_difference);
    json.end_object();
  } else {
    json.null();
  }
  json.key("time_ms").begin_object().field("import", r.time_ms.import).field("passes", r.time_ms.passes);
  json.field("export", r.time_ms.export_).field("total", r.time_ms.total).end_object();
  json.field("peak_rss_bytes", r.peak_rss_bytes).end_object();
  return json.take() + "\n";
}

std::string kept_json(const std::vector<KeptRecord>& kept) {
  JsonWriter json(1);
  write_kept(json, kept);
  return json.take();
}

std::string kept_table(const std::vector<KeptRecord>& kept, size_t max_width) {
  TextTable table({"node", "op", "pass", "tried", "wanted", "found", "why"});
  for (const KeptRecord& k : kept) table.add({k.node, k.op, k.pass, k.pattern, k.wanted, k.found, k.text});
  return table.str(2, max_width);
}

std::string ops_table(const std::map<std::string, int64_t>& before,
                      const std::map<std::string, int64_t>& after) {
  std::set<std::string> names;
  for (const auto& [name, count] : before) names.insert(name);
  for (const auto& [name, count] : after) names.insert(name);
  TextTable table({"operator", "before", "after"});
  int64_t sums[2] = {0, 0};
  auto count_in = [](const std::map<std::string, int64_t>& ops, const std::string& name) {
    const auto found = ops.find(name);
    return found == ops.end() ? int64_t{0} : found->second;
  };
  for (const std::string& name : names) {
    const int64_t b = count_in(before, name), a = count_in(after, name);
    sums[0] += b;
    sums[1] += a;
    table.add({name, b ? std::to_string(b) : "-", a ? std::to_string(a) : "-"});
  }
  table.add({"all", std::to_string(sums[0]), std::to_string(sums[1])});
  return table.str(2);
}

std::string rewrites_table(const std::vector<RewriteRecord>& rewrites, size_t max_width) {
  TextTable table({"pass", "pattern", "into", "from", "note"});
  for (const RewriteRecord& w : rewrites)
    table.add({w.pass, w.pattern, w.into, joined(w.nodes, max_width ? 2 : 4), w.note});
  return table.str(2, max_width);
}

std::string folds_table(const std::vector<RewriteRecord>& rewrites, size_t max_width) {
  TextTable table(
      {"value", "channels", "saturated", "expected dB", "measured dB", "against the input model", "changed"});
  for (const RewriteRecord& w : rewrites) {
    if (w.fold == nullptr) continue;
    const FoldFacts& f = *w.fold;
    const std::optional<FoldNoise>& change = f.measured ? f.measured : f.predicted;
    std::vector<std::string> changed;
    for (const FoldFacts::Parameter& p : f.parameters)
      changed.push_back(fmt::format("{} {} -> {}", p.what, p.was, p.is));
    table.add({w.into, std::to_string(f.channels), std::to_string(f.saturated_bias),
               before_after(f.predicted), before_after(f.measured), change ? decibels(change->change) : "-",
               joined(changed, 4)});
  }
  return table.empty() ? std::string() : table.str(2, max_width);
}

std::string report_text(const CompileReport& r) {
  std::string out = ops_table(r.input.ops, r.output.ops);
  if (!r.records.rewrites.empty()) out += "\nfolded and fused\n" + rewrites_table(r.records.rewrites);
  if (const std::string folds = folds_table(r.records.rewrites); !folds.empty())
    out +=
        "\nsignal to noise of folds against exact arithmetic, in the input model -> in the result\n" + folds;
  if (!r.records.kept.empty()) out += "\nkept as it was, and why\n" + kept_table(r.records.kept);
  for (const std::string& w : r.records.warnings) out += "\nwarning: " + w + "\n";
  if (r.verify) {
    out += fmt::format("\nverified on {} input set{}: largest difference of the outputs {:.4g}{}\n",
                       r.verify->runs, r.verify->runs == 1 ? "" : "s", r.verify->max_abs_error,
                       r.verify->sqnr_db ? fmt::format(", {:.1f} dB", *r.verify->sqnr_db) : ", bit for bit");
  }
  out += fmt::format("\n{} -> {}, {} -> {} nodes\n", human_bytes(static_cast<double>(r.input.bytes)),
                     human_bytes(static_cast<double>(r.output.bytes)), r.input.nodes, r.output.nodes);
  out +=
      fmt::format("import {:.1f} ms, passes {:.1f} ms, export {:.1f} ms, peak memory {}\n", r.time_ms.import,
                  r.time_ms.passes, r.time_ms.export_, human_bytes(static_cast<double>(r.peak_rss_bytes)));
  return out;
}

std::string report_html(const CompileReport& r) {
  std::string out =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Zeropoint report</title><style>"
      "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1d21}"
      "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{text-align:left;padding:.3rem "
      ".6rem;border-bottom:1px solid #dde1e6;vertical-align:top}"
      "th{background:#f4f6f8}td.n{text-align:right;font-variant-numeric:tabular-nums}code{font:13px "
      "ui-monospace,monospace}"
      "h2{margin-top:2rem}.ok{color:#0a7d33}.warn{color:#a15c00}</style>";
  out += fmt::format(
      "<h1>{} &rarr; {}</h1><p>backend <b>{}</b>, {} &rarr; {}, {} &rarr; {} nodes, {:.1f} ms, peak memory "
      "{}</p>",
      escape_html(r.input.path), escape_html(r.output.path), escape_html(r.backend),
      human_bytes(static_cast<double>(r.input.bytes)), human_bytes(static_cast<double>(r.output.bytes)),
      r.input.nodes, r.output.nodes, r.time_ms.total, human_bytes(static_cast<double>(r.peak_rss_bytes)));
  if (r.verify) {
    out += fmt::format(
        "<p class=\"{}\">verified on {} input sets: largest difference of the outputs {:.4g}{}</p>",
        r.verify->first_difference.empty() ? "ok" : "warn", r.verify->runs, r.verify->max_abs_error,
        r.verify->sqnr_db ? fmt::format(", {:.1f} dB", *r.verify->sqnr_db) : ", bit for bit");
  }
  for (const std::string& w : r.records.warnings) out += "<p class=\"warn\">" + escape_html(w) + "</p>";
  auto cells = [&](std::initializer_list<std::string> row, std::string_view tag) {
    out += "<tr>";
    for (const std::string& c : row) out += fmt::format("<{0}>{1}</{0}>", tag, escape_html(c));
    out += "</tr>";
  };
  out += "<h2>Operators</h2><table>";
  cells({"operator", "before", "after"}, "th");
  std::set<std::string> names;
  for (const auto& [name, count] : r.input.ops) names.insert(name);
  for (const auto& [name, count] : r.output.ops) names.insert(name);
  for (const std::string& name : names) {
    auto count = [&](const std::map<std::string, int64_t>& ops) {
      return ops.contains(name) ? std::to_string(ops.at(name)) : std::string("-");
    };
    cells({name, count(r.input.ops), count(r.output.ops)}, "td");
  }
  out += "</table><h2>Folded and fused</h2><table>";
  cells({"pass", "pattern", "into", "from", "note"}, "th");
  for (const RewriteRecord& w : r.records.rewrites)
    cells({w.pass, w.pattern, w.into, joined(w.nodes, 12), w.note}, "td");
  out += "</table>";
  if (std::any_of(r.records.rewrites.begin(), r.records.rewrites.end(),
                  [](const RewriteRecord& w) { return w.fold != nullptr; })) {
    out += "<h2>Signal to noise of folds (dB against exact arithmetic)</h2><table>";
    cells({"value", "channels", "saturated", "expected", "measured", "against the input model"}, "th");
    for (const RewriteRecord& w : r.records.rewrites) {
      if (w.fold == nullptr) continue;
      const auto& change = w.fold->measured ? w.fold->measured : w.fold->predicted;
      cells({w.into, std::to_string(w.fold->channels), std::to_string(w.fold->saturated_bias),
             before_after(w.fold->predicted), before_after(w.fold->measured),
             change ? decibels(change->change) : "-"},
            "td");
    }
    out += "</table>";
  }
  out += "<h2>Kept, and why</h2><table>";
  cells({"node", "op", "pass", "tried", "clause", "wanted", "found", "why"}, "th");
  for (const KeptRecord& k : r.records.kept)
    cells({k.node, k.op, k.pass, k.pattern, k.clause, k.wanted, k.found, k.text}, "td");
  out += "</table><h2>Passes</h2><table>";
  cells({"pass", "changes", "ms"}, "th");
  for (const auto& p : r.passes)
    cells({p.name, std::to_string(p.changes), fmt::format("{:.3f}", p.ms)}, "td");
  return out + "</table></html>\n";
}

}  // namespace zp
