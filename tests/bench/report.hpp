#pragma once

// How figures are compared and shown.

#include "bench/measure.hpp"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::bench {

// What is measured beside others.
struct Subject {
    std::string name;
    std::function<Round(Milliseconds duration)> run;
    std::vector<Round> rounds{};

    // Of the rounds.
    double median(double Round::*figure) const;
    double highest(double Round::*figure) const;
    double lowest(double Round::*figure) const;
};

// Runs all subjects in turn, several times, so that the machine's moods meet all of them.
void run_rounds(std::vector<Subject>& subjects, Milliseconds duration);

// One subject's speed, or CPU for each call, over another's: the best round of one over the best of
// the other, as what else runs on the machine can only make a round worse.
double speed_ratio(const Subject& one, const Subject& other);
double cpu_ratio(const Subject& one, const Subject& other);

// A table of the subjects, each figure the median of its rounds; ratios are to the first subject, of
// the best rounds.
void show(const std::string& title, const std::vector<Subject>& subjects);

// Figures beside what they should be.
class Goals {
public:
    void at_least(const std::string& what, double measured, double goal, int digits = 2);
    void at_most(const std::string& what, double measured, double goal, int digits = 2);
    void show() const;

private:
    void add(const std::string& what, double measured, const char* sign, double goal, int digits);

    std::vector<std::vector<std::string>> rows_{{"GOAL", "MEASURED", "WANTED", "OF IT", ""}};
};

std::string number(double value, int digits);

}  // namespace holdfast::bench
