#include "bench/report.hpp"

#include "cli/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>

namespace holdfast::bench {
namespace {

constexpr int kRounds = 3;
constexpr Milliseconds kWarmUp{300};

std::vector<double> sorted(const std::vector<Round>& rounds, double Round::*figure) {
    std::vector<double> values;
    for (const Round& round : rounds) {
        values.push_back(round.*figure);
    }
    std::sort(values.begin(), values.end());
    return values;
}

}  // namespace

double Subject::median(double Round::*figure) const {
    std::vector<double> values = sorted(rounds, figure);
    return values[values.size() / 2];
}

double Subject::highest(double Round::*figure) const {
    return sorted(rounds, figure).back();
}

double Subject::lowest(double Round::*figure) const {
    return sorted(rounds, figure).front();
}

void run_rounds(std::vector<Subject>& subjects, Milliseconds duration) {
    for (Subject& subject : subjects) {
        subject.run(kWarmUp);
    }
    for (int i = 0; i < kRounds; ++i) {
        for (Subject& subject : subjects) {
            subject.rounds.push_back(subject.run(duration));
        }
    }
}

double speed_ratio(const Subject& one, const Subject& other) {
    return one.highest(&Round::per_second) / other.highest(&Round::per_second);
}

double cpu_ratio(const Subject& one, const Subject& other) {
    return one.lowest(&Round::server_cpu_us) / other.lowest(&Round::server_cpu_us);
}

void show(const std::string& title, const std::vector<Subject>& subjects) {
    std::vector<std::vector<std::string>> rows{{title,
                                                "PER S",
                                                "RATIO",
                                                "P50 US",
                                                "P99 US",
                                                "CPU US: SERVER",
                                                "RATIO",
                                                "REDIS",
                                                "CLIENT",
                                                "SCRIPTS",
                                                "US EACH",
                                                "WRITES/SCRIPT"}};
    for (const Subject& subject : subjects) {
        const double server = subject.median(&Round::server_cpu_us);
        const bool compared = server > 0 && subjects[0].median(&Round::server_cpu_us) > 0;
        const double scripts = subject.median(&Round::scripts);
        const double writes = subject.median(&Round::writes);
        const bool redis = scripts > 0;
        rows.push_back({subject.name,
                        number(subject.median(&Round::per_second), 0),
                        number(speed_ratio(subject, subjects[0]), 2),
                        number(subject.median(&Round::p50_us), 0),
                        number(subject.median(&Round::p99_us), 0),
                        server > 0 ? number(server, 1) : "-",
                        compared ? number(cpu_ratio(subject, subjects[0]), 2) : "-",
                        redis ? number(subject.median(&Round::redis_cpu_us), 1) : "-",
                        number(subject.median(&Round::client_cpu_us), 1),
                        redis ? number(scripts, 2) : "-",
                        redis ? number(subject.median(&Round::script_us), 1) : "-",
                        writes > 0 && redis ? number(writes / scripts, 3) : "-"});
    }
    std::cout << cli::show_table(rows) << std::endl;
}

void Goals::at_least(const std::string& what, double measured, double goal, int digits) {
    add(what, measured, ">= ", goal, digits);
    rows_.back().back() = measured >= goal ? "met" : "MISSED";
}

void Goals::at_most(const std::string& what, double measured, double goal, int digits) {
    add(what, measured, "<= ", goal, digits);
    rows_.back().back() = measured <= goal ? "met" : "MISSED";
}

void Goals::add(
    const std::string& what, double measured, const char* sign, double goal, int digits) {
    rows_.push_back({what,
                     number(measured, digits),
                     sign + number(goal, digits),
                     number(measured / goal, 2),
                     ""});
}

void Goals::show() const {
    std::cout << cli::show_table(rows_) << std::endl;
}

std::string number(double value, int digits) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

}  // namespace holdfast::bench
