#pragma once

// What one scrape of /metrics reads at that moment, besides what Metrics counts all the time.

#include <cstdint>
#include <prometheus/metric_family.h>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::admin {

class Scrape {
public:
    using Label = std::pair<std::string, std::string>;

    // Names as Prometheus wants them: base units, counters end in _total. Calls with one name in a
    // row, with other labels, make one family.
    void counter(const std::string& name,
                 const std::string& help,
                 double value,
                 const std::vector<Label>& labels = {});
    void gauge(const std::string& name,
               const std::string& help,
               double value,
               const std::vector<Label>& labels = {});
    // `counts` has one more than `bounds`, for what was above all of them; not cumulative.
    void histogram(const std::string& name,
                   const std::string& help,
                   std::span<const double> bounds,
                   std::span<const std::uint64_t> counts,
                   double sum);

    std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

private:
    prometheus::ClientMetric& add(const std::string& name,
                                  const std::string& help,
                                  prometheus::MetricType type,
                                  const std::vector<Label>& labels);

    std::vector<prometheus::MetricFamily> families_;
};

// CPU time, memory, open files and start time of this process, by the names that Prometheus' own
// clients use for them.
void scrape_process(Scrape& scrape);

}  // namespace holdfast::admin
