#include "cli/load_report.hpp"

#include "cli/text.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cmath>
#include <sys/resource.h>

namespace holdfast::cli {
namespace {

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string whole(double value) {
    return std::to_string(std::llround(value));
}

std::string in_ms(std::uint32_t microseconds) {
    std::string text = std::to_string(microseconds / 1000) + ".";
    const std::string rest = std::to_string(microseconds % 1000);
    return text + std::string(3 - rest.size(), '0') + rest;
}

}  // namespace

std::string show(const LoadResult& result, const std::vector<std::string>& names) {
    std::vector<std::vector<std::string>> rows{
        {"CALL", "PER SECOND", "P50 MS", "P99 MS", "MAX MS"}};
    for (std::size_t i = 0; i < names.size(); ++i) {
        const LoadResult::Kind& kind = result.kinds[i];
        rows.push_back({names[i],
                        whole(static_cast<double>(kind.latencies.size()) / result.elapsed.count()),
                        in_ms(kind.percentile(50)),
                        in_ms(kind.percentile(99)),
                        in_ms(kind.percentile(100))});
    }
    std::string text = show_table(rows);
    text += "all: " + whole(result.per_second()) + " calls/s, " + std::to_string(result.failed()) +
            " failed\n";
    for (const auto& [why, times] : result.failures) {
        text += "  " + std::to_string(times) + " x " + show_text(why) + "\n";
    }
    return text;
}

std::string to_json(const LoadResult& result, const std::vector<std::string>& names) {
    boost::json::object kinds;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const LoadResult::Kind& kind = result.kinds[i];
        kinds[names[i]] = boost::json::object{{"calls", kind.latencies.size()},
                                              {"p50_us", kind.percentile(50)},
                                              {"p99_us", kind.percentile(99)},
                                              {"max_us", kind.percentile(100)}};
    }
    boost::json::object failures;
    for (const auto& [why, times] : result.failures) {
        failures[why] = times;
    }
    return boost::json::serialize(boost::json::object{{"calls", result.succeeded()},
                                                      {"failed", result.failed()},
                                                      {"seconds", result.elapsed.count()},
                                                      {"per_second", result.per_second()},
                                                      {"client_cpu_seconds", cpu_seconds()},
                                                      {"by_call", kinds},
                                                      {"failures", failures}}) +
           "\n";
}

}  // namespace holdfast::cli
