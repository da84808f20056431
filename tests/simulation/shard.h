// The process of a shard, and the owner of its replica (replica.h). It can crash, restart and
// pause, and has a clock of its own. If the partition may be split, another Shard is the part's
// replica in the same process: it crashes, starts and pauses with this one, and has no copy before
// the split.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "tests/simulation/broken_rules.h"
#include "tests/simulation/context.h"
#include "tests/simulation/decider.h"
#include "tests/simulation/disk.h"

namespace canopy::simulation {

class Coordinator;
class Network;

class Shard {
 public:
  using Replica = cluster::Replica;
  using Input = std::function<void(Replica&, base::TimePoint now, Replica::Effects&)>;

  // `part`: null if the partition is not split, or this is the part.
  Shard(Context context, Coordinator& coordinator, Network& network, std::string name,
        Shard* part = nullptr);

  // --- faults, of both ---
  void start();
  void crash(bool goodbye);
  void pause(bool paused);
  void slow_disk(bool slow) { slow_disk_ = slow; }

  // --- inputs of the process, discarded if it ends before ---
  void post(base::Duration delay, Input input) { post(delay, process_, std::move(input)); }
  void post(base::Duration delay, std::uint64_t process, Input input);
  void request(base::Duration delay, wire::WriteRequest request, Decider::Reply reply);
  void on_record(Replica& replica, std::optional<cluster::PartitionRecord> record,
                 std::uint64_t version, base::TimePoint now, Replica::Effects& out);
  // Makes the owner handle the replica's effects.
  void poke() {
    post(base::Duration::zero(), [](Replica&, base::TimePoint, Replica::Effects&) {});
  }
  void on_deadline(Replica& replica, base::TimePoint deadline, base::TimePoint now,
                   Replica::Effects& out);
  void receive(const std::string& from, wire::ToLeader message);
  void receive(const std::string& from, wire::ToFollower message);

  // --- state ---
  const std::string& name() const { return name_; }
  std::uint64_t process() const { return process_; }  // a number for each process
  bool running() const { return running_; }
  bool holds_replica() const { return holds_replica_; }
  bool paused() const { return paused_; }
  base::TimePoint local_now() const;
  bool leads() const { return replica_ && replica_->leads(local_now()); }
  // Null unless the process runs and the shard holds a replica.
  const Replica* replica() const { return replica_ ? &*replica_ : nullptr; }
  // The identity of the copy, which outlives the process on disk; empty: there is none.
  std::string identity() const { return disk_ ? disk_->identity() : ""; }

 private:
  void start_own();
  void crash_own(bool goodbye);
  void open(Replica::Recovered recovered);
  void tick();
  // Of the part: the split has made its copy, which is durable once the whole has stored the split.
  void adopt(const std::string& identity, Replica::SplitOff made);
  void introduce();
  void make_real();
  void open_if_placed();
  bool awaits_split(const cluster::PartitionRecord& record) const;
  // Of the whole.
  void create_part(Replica& replica);
  bool is_of_part(const wire::WriteRequest& request) const;

  void every(base::Duration period, std::function<void()> action);
  void enter(const Input& input);
  void carry_out(Replica::Effects& out, base::TimePoint now);
  void report(const Replica::Effects& out, base::TimePoint now);
  void propose(const Replica::Proposal& proposal);
  void work_on_disk();
  void send_to_followers(base::TimePoint now);
  void drop_if_dispensable();

  Context context_;
  Coordinator& coordinator_;
  Network& network_;
  std::string name_;
  Shard* part_;
  Shard* whole_ = nullptr;
  bool holds_replica_;

  bool running_ = false;
  bool paused_ = false;
  std::uint64_t process_ = 0;
  std::deque<Input> inbox_{};  // of a paused process
  base::TimePoint started_{}, local_start_{};
  int clock_rate_ = 1000;  // local milliseconds in 1,000
  base::TimePoint deadline_{};

  int copies_ = 0;
  std::optional<Disk> disk_{};
  bool real_ = true;  // the copy of a part is on disk
  bool disk_works_ = false;
  bool slow_disk_ = false;
  std::optional<Replica> replica_{};
  Decider decider_{};
  std::pair<std::uint32_t, std::uint64_t> served_{};  // epoch and lineage
  BrokenRules broken_;
};

}  // namespace canopy::simulation
