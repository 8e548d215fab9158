#include "core/peer_gathering.hpp"

#include <utility>

namespace holdfast::core {

bool PeerGathering::open(const std::string& id, Finished done) {
    if (questions_.size() >= kMostOpen) {
        return false;
    }
    questions_[id] = std::make_unique<Question>(std::move(done), timers_);
    return true;
}

void PeerGathering::expect(const std::string& id, const std::vector<Asked>& asked) {
    const auto found = questions_.find(id);
    if (found == questions_.end()) {
        return;
    }
    Question& question = *found->second;
    question.expecting = true;
    for (const Asked& one : asked) {
        question.daemons.emplace(one.station, one.daemon);
        if (one.heard && !question.answers.contains(one.station)) {
            question.awaited.insert(one.station);
        }
    }
    std::erase_if(question.answers,
                  [&](const auto& one) { return !question.daemons.contains(one.first); });
    question.patience.set(clock_.now() + kPatience, [this, id] { finish(id); });
    finish_if_complete(id);
}

void PeerGathering::answered(const std::string& id, const std::string& station, PeerAnswer answer) {
    const auto found = questions_.find(id);
    if (found == questions_.end()) {
        return;
    }
    Question& question = *found->second;
    if (question.expecting ? !question.daemons.contains(station)
                           : question.answers.size() >= kMostStations) {
        return;
    }
    question.awaited.erase(station);
    question.answers.emplace(station, std::move(answer));  // the first one counts
    finish_if_complete(id);
}

void PeerGathering::finish_if_complete(const std::string& id) {
    const Question& question = *questions_.at(id);
    if (question.expecting && question.awaited.empty()) {
        finish(id);
    }
}

void PeerGathering::finish(const std::string& id) {
    const auto question = std::move(questions_.extract(id).mapped());
    PeerAnswers gathered;
    std::set<std::string> silent;
    for (const auto& [station, daemon] : question->daemons) {
        if (const auto own = question->answers.find(station); own != question->answers.end()) {
            gathered.answers.push_back({station, daemon, std::move(own->second)});
        } else {
            silent.insert(daemon);
        }
    }
    gathered.silent.assign(silent.begin(), silent.end());
    question->done(std::move(gathered));
}

}  // namespace holdfast::core
