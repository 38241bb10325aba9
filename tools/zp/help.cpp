// zp help COMMAND, zp help passes, zp completion: what the program can do.
#include <fmt/format.h>

#include "command.h"
#include "passes/pipeline.h"

namespace zp::cli {

namespace {

int help_passes() {
  const std::vector<std::string> defaults = default_passes();
  for (const PassCard& pass : all_passes()) {
    fmt::print("{}\n  {}\n", pass.name, pass.doc);
    if (!pass.needs.empty()) fmt::print("  needs    {}\n", pass.needs);
    if (!pass.gives.empty()) fmt::print("  gives    {}\n", pass.gives);
    fmt::print("  promise  {}\n\n", pass.promise == Promise::Exact
                                        ? "exact: every output keeps its bits"
                                        : "rounded: each rewrite states how far its value may move");
  }
  fmt::print("default order: ");
  for (size_t i = 0; i < defaults.size(); ++i) fmt::print("{}{}", i ? ", " : "", defaults[i]);
  fmt::print("\n");
  return 0;
}

int help_on(CLI::App& app, const std::string& topic) {
  if (topic.empty()) {
    fmt::print("{}", app.help());
    return 0;
  }
  if (topic == "passes") return help_passes();
  try {
    fmt::print("{}", app.get_subcommand(topic)->help());
    return 0;
  } catch (const CLI::OptionNotFound&) {
    return fail_usage("no command is called '" + topic +
                      "'; `zp help` lists them, `zp help passes` the passes");
  }
}

// Words that a shell may offer: commands, and the long options of each.
int print_completion(const CLI::App& app, const std::string& shell) {
  std::string cases, commands;
  for (const CLI::App* cmd : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands += (commands.empty() ? "" : " ") + cmd->get_name();
    std::string options;
    for (const CLI::Option* option : cmd->get_options())
      for (const std::string& name : option->get_lnames()) options += " --" + name;
    cases +=
        fmt::format("    {}) words=\"{}\" ;;\n", cmd->get_name(), options.empty() ? "" : options.substr(1));
  }
  const std::string body = fmt::format(
      "_zp() {{\n  local words current=\"${{COMP_WORDS[COMP_CWORD]}}\"\n  if [ \"$COMP_CWORD\" -eq 1 ]; then "
      "words=\"{}\"; else\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}  esac\n  fi\n"
      "  case \"$current\" in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
      "    *) if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$current\")); else "
      "COMPREPLY=($(compgen -f -- \"$current\")); fi ;;\n"
      "  esac\n}}\ncomplete -o filenames -F _zp zp\n",
      commands, cases);
  if (shell == "bash") {
    fmt::print("{}", body);
  } else if (shell == "zsh") {
    fmt::print("autoload -U +X bashcompinit && bashcompinit\n{}", body);
  } else {
    fmt::print("complete -c zp -f -n __fish_use_subcommand -a '{}'\n", commands);
    for (const CLI::App* cmd : app.get_subcommands([](const CLI::App*) { return true; }))
      for (const CLI::Option* option : cmd->get_options())
        for (const std::string& name : option->get_lnames())
          fmt::print("complete -c zp -n '__fish_seen_subcommand_from {}' -l {}\n", cmd->get_name(), name);
  }
  return 0;
}

}  // namespace

void add_help(CLI::App& app, Globals& globals) {
  auto topic = std::make_shared<std::string>();
  CLI::App* cmd = app.add_subcommand("help", "help on a command, or on `passes`");
  cmd->add_option("TOPIC", *topic, "a command, or passes");
  cmd->callback([&globals, &app, topic] { globals.action = [&app, topic] { return help_on(app, *topic); }; });
}

void add_completion(CLI::App& app, Globals& globals) {
  auto shell = std::make_shared<std::string>();
  CLI::App* cmd = app.add_subcommand("completion", "completions for a shell");
  cmd->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  cmd->callback(
      [&globals, &app, shell] { globals.action = [&app, shell] { return print_completion(app, *shell); }; });
}

}  // namespace zp::cli
