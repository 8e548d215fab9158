#include "admin/scrape.hpp"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::admin {
namespace {

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double resident_bytes() {
    std::ifstream statm{"/proc/self/statm"};
    double pages = 0;
    double resident = 0;
    statm >> pages >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double open_files() {
    std::error_code error;
    double count = 0;
    for (std::filesystem::directory_iterator entry{"/proc/self/fd", error}, end;
         !error && entry != end;
         entry.increment(error)) {
        ++count;
    }
    return count;
}

}  // namespace

void Scrape::counter(const std::string& name,
                     const std::string& help,
                     double value,
                     const std::vector<Label>& labels) {
    add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void Scrape::gauge(const std::string& name,
                   const std::string& help,
                   double value,
                   const std::vector<Label>& labels) {
    add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void Scrape::histogram(const std::string& name,
                       const std::string& help,
                       std::span<const double> bounds,
                       std::span<const std::uint64_t> counts,
                       double sum) {
    auto& histogram = add(name, help, prometheus::MetricType::Histogram, {}).histogram;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        histogram.sample_count += counts[i];
        if (i < bounds.size()) {
            histogram.bucket.push_back({histogram.sample_count, bounds[i]});
        }
    }
    histogram.sample_sum = sum;
}

prometheus::ClientMetric& Scrape::add(const std::string& name,
                                      const std::string& help,
                                      prometheus::MetricType type,
                                      const std::vector<Label>& labels) {
    if (families_.empty() || families_.back().name != name) {
        families_.push_back({name, help, type, {}});
    }
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    for (const auto& [label, value] : labels) {
        metric.label.push_back({label, value});
    }
    return metric;
}

void scrape_process(Scrape& scrape) {
    static const std::time_t kStart = std::time(nullptr);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    scrape.counter("process_cpu_seconds_total",
                   "CPU time of the daemon, user and system",
                   seconds(usage.ru_utime) + seconds(usage.ru_stime));
    scrape.gauge("process_resident_memory_bytes", "memory in use", resident_bytes());
    scrape.gauge("process_open_fds", "open files and sockets", open_files());
    scrape.gauge("process_start_time_seconds",
                 "when the daemon started, in seconds since 1970",
                 static_cast<double>(kStart));
}

}  // namespace holdfast::admin
