package io.ballast.cli;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.StringJoiner;
import java.util.function.BiConsumer;

/**
 * {@code ballast completion}: scripts for shells, made from the verbs' metadata.
 *
 * <p>Everything that is known when the script is made stands in it, so that a completion costs no JVM; only names of
 * services and servers are asked of the running daemon.
 */
final class CompletionVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("completion", "Print the completion script for a shell")
                .parameter(Parameter.choice("shell", "the shell", "bash", "zsh", "fish"))
                .example("ballast completion bash > /etc/bash_completion.d/ballast", "for everybody who uses bash here")
                .example("ballast completion fish > ~/.config/fish/completions/ballast.fish", "for fish, only yours");
    }

    @Override
    public int run(Invocation call) {
        List<Verb> verbs = Verbs.all();
        String script = switch (call.parameter("shell")) {
            case "bash" -> bash(verbs);
            case "zsh" -> zsh(verbs);
            default -> fish(verbs);
        };
        call.terminal().out().print(script);
        return Exit.DONE;
    }

    /** Every verb and verb below a verb, each with its full name: {@code server add}. */
    private static void walk(String prefix, List<Verb> verbs, BiConsumer<String, Verb> each) {
        for (Verb verb : verbs) {
            String name = (prefix + " " + verb.spec().name()).strip();
            each.accept(name, verb);
            walk(name, verb.verbs(), each);
        }
    }

    /** What a kind of value completes to, as a word that the scripts understand. */
    private static String action(ValueKind kind, List<String> choices) {
        return switch (kind) {
            case FILE -> "@file";
            case DIRECTORY -> "@directory";
            case SERVICE -> "@service";
            case SERVER -> "@server";
            case COMMAND -> "@command";
            case CHOICE -> String.join(" ", choices);
            case TEXT, NUMBER, DURATION -> "";
        };
    }

    static String bash(List<Verb> verbs) {
        return BASH.replace("%TABLE%", table(verbs));
    }

    static String zsh(List<Verb> verbs) {
        return ZSH.replace("%TABLE%", table(verbs));
    }

    /** What each verb takes, as a function that bash and zsh both read. */
    private static String table(List<Verb> verbs) {
        StringJoiner top = new StringJoiner(" ");
        verbs.forEach(v -> top.add(v.spec().name()));
        StringBuilder cases = new StringBuilder("    \"\") verbs=\"" + top + "\" options=\"--help --version\" ;;\n");
        walk("", verbs, (name, verb) -> {
            StringJoiner below = new StringJoiner(" ");
            verb.verbs().forEach(v -> below.add(v.spec().name()));
            StringJoiner options = new StringJoiner(" ");
            StringJoiner valued = new StringJoiner(" ", " ", " ");
            StringBuilder values = new StringBuilder();
            for (Option option : Help.options(verb.spec())) {
                options.add(option.name());
                if (!option.isFlag()) {
                    valued.add(option.name());
                    option.letter().ifPresent(valued::add);
                    String names =
                            option.name() + option.letter().map(l -> " | " + l).orElse("");
                    String action = action(option.kind().orElse(ValueKind.TEXT), option.choices());
                    values.append("        " + names + ") _ballast_offer \"" + action + "\" ;;\n");
                }
            }
            StringJoiner places = new StringJoiner(" ");
            verb.spec().parameters().forEach(p -> places.add("\"" + action(p.kind(), p.choices()) + "\""));
            cases.append("    \"" + name + "\")\n");
            cases.append("      verbs=\"" + below + "\" options=\"" + options + "\"\n");
            cases.append("      valued=\"" + valued + "\" places=(" + places + ")\n");
            if (!values.isEmpty()) {
                cases.append("      case $previous in\n" + values + "      esac\n");
            }
            cases.append("      ;;\n");
        });
        return """
                # What the verb $verb takes; where the option $previous waits for its value, that is offered.
                _ballast_verb() {
                  verbs="" options="" valued=" " places=()
                  case $verb in
                """ + cases + "  esac\n}\n";
    }

    private static final String BASH = """
            # bash completion for ballast; made by: ballast completion bash

            _ballast_offer() {
              case $1 in
                @file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames 2>/dev/null ;;
                @directory) mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames 2>/dev/null ;;
                @command) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
                @service) _ballast_offer "$("$program" complete services 2>/dev/null)" ;;
                @server) _ballast_offer "$("$program" complete servers 2>/dev/null)" ;;
                *) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current") ;;
              esac
            }

            %TABLE%
            _ballast() {
              # bash splits words at colons, which names of servers have; so the line is split here.
              local line=${COMP_LINE:0:COMP_POINT} words program current previous="" verb="" place=0 i
              local verbs options valued places
              read -ra words <<<"$line"
              [[ $line != *" " ]] || words+=("")
              program=${words[0]} current=${words[-1]}
              COMPREPLY=()
              _ballast_verb
              for ((i = 1; i < ${#words[@]} - 1; i++)); do
                if [[ $valued == *" ${words[i]} "* ]]; then
                  ((i += 1))
                elif [[ ${words[i]} != -* && " $verbs " == *" ${words[i]} "* ]]; then
                  verb=${verb:+$verb }${words[i]}
                  _ballast_verb
                elif [[ ${words[i]} != -* ]]; then
                  ((place += 1))
                fi
              done
              if [[ ${#words[@]} -gt 2 && $valued == *" ${words[-2]} "* ]]; then
                previous=${words[-2]}
                _ballast_verb
              elif [[ $current == -* ]]; then
                _ballast_offer "$options"
              elif [[ -n $verbs ]]; then
                _ballast_offer "$verbs"
              elif [[ ${#places[@]} -gt 0 ]]; then
                ((place < ${#places[@]})) || place=$((${#places[@]} - 1))
                _ballast_offer "${places[place]}"
              fi
              if [[ $current == *:* ]]; then
                COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
              fi
            }

            complete -F _ballast ballast ./ballast
            """;

    private static final String ZSH = """
            #compdef ballast
            # zsh completion for ballast; made by: ballast completion zsh

            _ballast_offer() {
              case $1 in
                @file) _files ;;
                @directory) _files -/ ;;
                @command) _command_names -e ;;
                @service) compadd -- ${(f)"$($program complete services 2>/dev/null)"} ;;
                @server) compadd -- ${(f)"$($program complete servers 2>/dev/null)"} ;;
                *) compadd -- ${=1} ;;
              esac
            }

            %TABLE%
            _ballast() {
              local program=$words[1] current=$words[CURRENT] previous="" verb="" place=1 i
              local verbs options valued
              local -a places
              _ballast_verb
              for ((i = 2; i < CURRENT; i++)); do
                if [[ $valued == *" $words[i] "* ]]; then
                  ((i += 1))
                elif [[ $words[i] != -* && " $verbs " == *" $words[i] "* ]]; then
                  verb=${verb:+$verb }$words[i]
                  _ballast_verb
                elif [[ $words[i] != -* ]]; then
                  ((place += 1))
                fi
              done
              if [[ $CURRENT -gt 2 && $valued == *" $words[CURRENT-1] "* ]]; then
                previous=$words[CURRENT-1]
                _ballast_verb
              elif [[ $current == -* ]]; then
                _ballast_offer "$options"
              elif [[ -n $verbs ]]; then
                _ballast_offer "$verbs"
              elif [[ $#places -gt 0 ]]; then
                ((place <= $#places)) || place=$#places
                _ballast_offer "$places[place]"
              fi
            }

            if [[ $funcstack[1] == _ballast ]]; then _ballast; else compdef _ballast ballast; fi
            """;

    static String fish(List<Verb> verbs) {
        StringBuilder script = new StringBuilder("""
                # fish completion for ballast; made by: ballast completion fish

                # Whether the verbs so far are these.
                function __ballast_at
                    set -l words (commandline -opc)[2..-1]
                    set -l verbs
                    for word in $words
                        string match -q -- '-*' $word; or set -a verbs $word
                    end
                    test (count $verbs) -ge (count $argv); or return 1
                    test (count $argv) -eq 0; and test (count $verbs) -gt 0; and return 1
                    for i in (seq (count $argv))
                        test $verbs[$i] = $argv[$i]; or return 1
                    end
                    return 0
                end

                complete -c ballast -f
                """);
        for (Verb verb : verbs) {
            offer(script, "__ballast_at", verb);
        }
        walk("", verbs, (path, verb) -> {
            String at = "__ballast_at " + path;
            verb.verbs().forEach(v -> offer(script, at, v));
            for (Option option : Help.options(verb.spec())) {
                String letter =
                        option.letter().map(l -> " -s " + l.substring(1)).orElse("");
                String values = option.isFlag() ? "" : " -r" + fishValues(option.kind(), option.choices());
                script.append("complete -c ballast -n " + quote(at) + " -l "
                        + option.name().substring(2) + letter + values + " -d " + quote(option.help()) + "\n");
            }
            for (Parameter p : verb.spec().parameters()) {
                String values = fishValues(Optional.of(p.kind()), p.choices());
                if (!values.isEmpty()) {
                    String name = quote(p.name().toUpperCase(Locale.ROOT));
                    script.append("complete -c ballast -n " + quote(at) + values + " -d " + name + "\n");
                }
            }
        });
        return script.toString();
    }

    private static void offer(StringBuilder script, String at, Verb verb) {
        VerbSpec spec = verb.spec();
        script.append(
                "complete -c ballast -n " + quote(at) + " -a " + spec.name() + " -d " + quote(spec.summary()) + "\n");
    }

    private static String fishValues(Optional<ValueKind> kind, List<String> choices) {
        return switch (kind.orElse(ValueKind.TEXT)) {
            case FILE, DIRECTORY -> " -F";
            case CHOICE -> " -a " + quote(String.join(" ", choices));
            case SERVICE -> " -a '(ballast complete services 2>/dev/null)'";
            case SERVER -> " -a '(ballast complete servers 2>/dev/null)'";
            case COMMAND -> " -a '(__fish_complete_subcommand)'";
            case TEXT, NUMBER, DURATION -> "";
        };
    }

    private static String quote(String text) {
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
    }
}
