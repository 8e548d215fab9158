#include "daemon/preflight.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::daemon {
namespace {

constexpr core::Milliseconds kInterval{10'000};

}  // namespace

// The commands of one look.
struct Preflight::Round {
    std::string info;
    ToldConfig config;
    std::size_t missing = 0;
    bool lost = false;  // an answer was
};

Preflight::Preflight(redis::Client& client,
                     const core::Clock& clock,
                     core::TimerQueue& timers,
                     Logger logger,
                     CheckOptions options,
                     core::Milliseconds timeout,
                     Report report)
    : client_(client),
      clock_(clock),
      logger_(std::move(logger)),
      options_(std::move(options)),
      timeout_(timeout),
      report_(std::move(report)),
      timer_(timers) {}

void Preflight::look() {
    timer_.set(clock_.now() + kInterval, [this] { look(); });
    if (std::exchange(under_way_, true)) {
        return;
    }
    const auto round = std::make_shared<Round>();
    // One command each: Redis 6.2 takes one section only.
    for (const char* section : {"server", "replication", "memory", "persistence"}) {
        ask(round, {"INFO", section}, [&info = round->info](const redis::Value& reply) {
            info += std::string{reply.text()} + '\n';
        });
    }
    // INFO does not say these. A user of our own may not ask for them (config/tls.toml), and trying would fill
    // Redis' ACL LOG.
    if (options_.may_read_config) {
        ask_config(round, "save", round->config.save);
        ask_config(round, "repl-backlog-ttl", round->config.repl_backlog_ttl);
    }
}

// `value` is the round's.
void Preflight::ask_config(const std::shared_ptr<Round>& round,
                           std::string_view name,
                           std::optional<std::string>& value) {
    ask(round, {"CONFIG", "GET", name}, [&value](const redis::Value& reply) {
        if (reply.size() == 2) {
            value = reply[1].text();
        }
    });
}

// `take` gets an answer that is no error.
void Preflight::ask(const std::shared_ptr<Round>& round,
                    const std::vector<std::string_view>& command,
                    std::function<void(const redis::Value& reply)> take) {
    ++round->missing;
    client_.send(0,
                 {redis::format_command(command),
                  timeout_,
                  [this, round, take = std::move(take)](const redis::Outcome& outcome) {
                      if (const auto* reply = std::get_if<redis::Reply>(&outcome)) {
                          if (!(*reply)->is_error()) {
                              take(reply->value());
                          }
                      } else {
                          round->lost = true;
                      }
                      if (--round->missing == 0) {
                          judge(*round);
                      }
                  },
                  {}});
}

void Preflight::judge(const Round& round) {
    under_way_ = false;
    if (round.lost) {
        return;
    }
    std::vector<Check> found = daemon::judge(round.info, round.config, options_);
    for (Check& check : found) {
        check.text = check.text.empty() ? "" : options_.where + check.text;
    }
    log_changes(found);
    last_ = std::move(found);
    report_(last_);
}

// What is refused is logged with the readiness that it takes away.
void Preflight::log_changes(const std::vector<Check>& found) {
    for (std::size_t i = 0; i < found.size(); ++i) {
        const Check before = last_.empty() ? Check{} : last_[i];
        if (found[i].severity == before.severity && found[i].text == before.text) {
            continue;
        }
        if (found[i].severity == Severity::warning) {
            logger_->warn("store: {}", found[i].text);
        } else if (found[i].severity == Severity::fine && before.severity == Severity::warning) {
            logger_->info("store: over: {}", before.text);
        }
    }
}

}  // namespace holdfast::daemon
