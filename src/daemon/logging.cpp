#include "daemon/logging.hpp"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdio>
#include <utility>

namespace holdfast::daemon {
namespace {

constexpr std::size_t kQueuedLines = 8192;
constexpr char kTime[] = "%Y-%m-%dT%H:%M:%S.%eZ";

// The message as the inside of a JSON string (RFC 8259, section 7). Lock names and errors are UTF-8
// already or were checked to be.
class JsonMessage final : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message,
                const std::tm&,
                spdlog::memory_buf_t& out) override {
        for (const char c : message.payload) {
            if (c == '"' || c == '\\') {
                out.push_back('\\');
                out.push_back(c);
            } else if (static_cast<unsigned char>(c) < 0x20) {
                fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
            } else {
                out.push_back(c);
            }
        }
    }
    std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<JsonMessage>();
    }
};

std::unique_ptr<spdlog::formatter> make_formatter(const std::string& format) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    if (format == "json") {
        formatter->add_flag<JsonMessage>('*').set_pattern(std::string{R"({"time":")"} + kTime +
                                                          R"(","level":"%l","msg":"%*"})");
    } else {
        formatter->set_pattern(std::string{kTime} + " %-5l %v");
    }
    return formatter;
}

// The lock and the token, which together name a lease to people; never its id.
std::string describe(const core::Lease& lease) {
    return "lock=\"" + lease.name.text() + "\" token=" + std::to_string(lease.token.value);
}

}  // namespace

Logger make_logger(const std::string& level, const std::string& format) {
    // The logger keeps the pool, and with it the thread, alive.
    struct Owned {
        std::shared_ptr<spdlog::details::thread_pool> pool;
        std::shared_ptr<spdlog::async_logger> logger;
    };
    auto owned = std::make_shared<Owned>();
    owned->pool = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
    owned->logger =
        std::make_shared<spdlog::async_logger>("holdfastd",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                               owned->pool,
                                               spdlog::async_overflow_policy::overrun_oldest);
    owned->logger->set_formatter(make_formatter(format));
    owned->logger->set_level(spdlog::level::from_str(level));
    owned->logger->flush_on(spdlog::level::info);
    return {owned, owned->logger.get()};
}

void LogObserver::say(Kind& kind, spdlog::level::level_enum level, const std::string& text) {
    const core::Instant now = clock_.now();
    if (now - kind.second >= std::chrono::seconds{1}) {
        kind.second = now;
        kind.lines = 0;
    }
    if (++kind.lines > kPerSecond) {
        ++kind.left_out;
        return;
    }
    if (const auto left_out = std::exchange(kind.left_out, 0); left_out > 0) {
        logger_->log(level, "{} left_out={}", text, left_out);
    } else {
        logger_->log(level, text);
    }
}

void LogObserver::lease_at_risk(const core::Lease& lease, std::string_view why) {
    ++totals_.at_risk;
    say(at_risk_,
        spdlog::level::warn,
        "lease at risk: a renewal failed " + describe(lease) + " why=\"" + std::string{why} + "\"");
}

void LogObserver::lease_recovered(const core::Lease& lease) {
    ++totals_.recovered;
    say(recovered_, spdlog::level::info, "lease recovered " + describe(lease));
}

void LogObserver::lease_lost(const core::Lease& lease, core::LossCause cause) {
    ++(cause == core::LossCause::deadline ? totals_.expired : totals_.taken);
    say(lost_,
        spdlog::level::warn,
        "lease lost " + describe(lease) + " why=\"" + core::to_string(cause) + "\"");
}

void LogObserver::outcome_unknown(const core::LockName& name) {
    ++totals_.unknown;
    say(unknown_,
        spdlog::level::warn,
        "an answer of the store was lost; cleaning up lock=\"" + name.text() + "\"");
}

}  // namespace holdfast::daemon
