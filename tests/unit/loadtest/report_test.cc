#include "loadtest/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

namespace canopy::loadtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

StepResult clean_step() {
  StepResult step{.target = "cluster", .clients = 100, .served = 100};
  step.totals.converged = 100;
  step.totals.joins = 100;
  step.totals.window_s = 10;
  step.totals.window_sent = 500;
  step.totals.window_delivered = 50'000;
  for (int us = 1000; us <= 3000; ++us) step.totals.latency.record(us);
  step.processes = {{.role = "proxy",
                     .name = "p1",
                     .pid = 5,
                     .cpu_percent = 31.4,
                     .open_descriptors = 790,
                     .max_descriptors = 1024},
                    {.role = "shard",
                     .name = "results",
                     .pid = 6,
                     .cpu_percent = 4.6,
                     .open_descriptors = 30,
                     .max_descriptors = 1024},
                    {.role = "shard", .name = "rest", .pid = 7}};
  step.harness = {.cpu_percent = 50, .busiest_thread_percent = 30, .machine_percent = 60};
  return step;
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, separator);) fields.push_back(field);
  return fields;
}

TEST(Verdict, PassesACleanStep) {
  const auto verdict = evaluate({clean_step()});
  EXPECT_TRUE(verdict.pass());
  EXPECT_THAT(verdict_line(verdict), HasSubstr("PASS"));
}

TEST(Verdict, NamesEachReason) {
  auto step = clean_step();
  step.served = 98;
  step.totals.converged = 97;
  step.totals.faults = {.lost = 5,
                        .lost_at_join = 1,
                        .incomplete = 2,
                        .repeated = 6,
                        .out_of_order = 7,
                        .unfiltered = 9,
                        .misapplied = 10,
                        .corrupted = 8};
  step.processes[0].open_descriptors = 1000;
  const auto verdict = evaluate({clean_step(), step});
  EXPECT_THAT(
      verdict.reasons,
      ElementsAre(HasSubstr("2 not served"), HasSubstr("Ordered violated 7 times"),
                  HasSubstr("Unique violated 6 times"), HasSubstr("GapDetected violated 4 times"),
                  HasSubstr("SnapshotComplete violated 3 times"),
                  HasSubstr("Converged violated 3 times"), HasSubstr("Filtered violated 9 times"),
                  HasSubstr("8 corrupted"), HasSubstr("p1 uses 1000 of 1024")));
  EXPECT_THAT(verdict_line(verdict), HasSubstr("FAIL"));
}

TEST(Verdict, NativeWritesCount) {
  auto step = clean_step();
  step.native = true;
  EXPECT_TRUE(evaluate({step}).pass());
  step.totals.faults.misapplied = 1;
  step.totals.stats.refused = 2;
  step.totals.stats.unanswered = 3;
  EXPECT_THAT(evaluate({step}).reasons,
              ElementsAre(HasSubstr("AppliedOnce violated 1 times"), HasSubstr("2 writes refused"),
                          HasSubstr("3 writes not answered")));
}

TEST(Verdict, ReportedGapsAreNoFault) {
  auto step = clean_step();
  step.native = true;
  step.totals.stats = {.gaps = 1, .missed = 5, .by_full = 1, .losses = 1, .repeats = 3};
  EXPECT_TRUE(evaluate({step}).pass());
}

TEST(Verdict, ToleratesDescriptorsUpToNineTenths) {
  auto step = clean_step();
  step.processes[0].max_descriptors = 1000;
  step.processes[0].open_descriptors = 900;
  EXPECT_TRUE(evaluate({step}).pass());
  step.processes[0].open_descriptors = 901;
  EXPECT_FALSE(evaluate({step}).pass());
}

TEST(Table, RowsAlignWithTheHeader) {
  auto broken = clean_step();
  broken.target = "baseline";
  broken.totals.faults.lost = 1'234'567;
  EXPECT_EQ(table_row(clean_step()).size(), table_header().size());
  EXPECT_EQ(table_row(broken).size(), table_header().size());
}

TEST(Table, ShowsTheFiguresOfTheStep) {
  const auto row = table_row(clean_step());
  EXPECT_THAT(row, HasSubstr(" 50 "));        // updates a second
  EXPECT_THAT(row, HasSubstr(" 5000 "));      // deliveries a second
  EXPECT_THAT(row, HasSubstr(" 36 "));        // CPU of the processes that are known
  EXPECT_THAT(row, HasSubstr(" 790/1024 "));  // the fullest process
  EXPECT_THAT(table_details(clean_step()), HasSubstr("p1 31 % 790/1024 fds · results 5 %"));
}

TEST(Table, MarksASaturatedHarness) {
  auto step = clean_step();
  EXPECT_THAT(table_row(step), Not(HasSubstr("!")));
  step.harness.busiest_thread_percent = 95;
  EXPECT_THAT(table_row(step), HasSubstr("50!"));
  EXPECT_THAT(table_details(step), HasSubstr("saturated"));
}

TEST(Table, ShowsTheFaults) {
  auto step = clean_step();
  step.totals.faults.out_of_order = 4;
  step.figures = {{.name = "shard_snapshots", .during = 1, .total = 8}, {.name = "idle"}};
  auto details = table_details(step);
  EXPECT_THAT(details, HasSubstr("Ordered 4 Unique 0 GapDetected 0"));
  EXPECT_THAT(details, HasSubstr("AppliedOnce -"));
  EXPECT_THAT(details, HasSubstr("shard_snapshots 1/8"));
  EXPECT_THAT(details, Not(HasSubstr("idle")));
  EXPECT_THAT(details, Not(HasSubstr("writes acknowledged")));
  step.native = true;
  step.totals.stats.missed = 77;
  step.totals.write.record(1500);
  details = table_details(step);
  EXPECT_THAT(details, HasSubstr("AppliedOnce 0"));
  EXPECT_THAT(details, HasSubstr("77 updates missed"));
  EXPECT_THAT(details, HasSubstr("writes acknowledged: avg 1.50 ms"));
}

TEST(Table, UnknownFiguresAreDashes) {
  StepResult step{.target = "given", .clients = 1};
  step.processes = {{.role = "proxy", .name = "far", .pid = 1}};
  EXPECT_EQ(table_row(step).size(), table_header().size());
  EXPECT_THAT(table_row(step), HasSubstr(" - "));
}

TEST(Json, HoldsConfigurationStepsAndVerdict) {
  auto step = clean_step();
  step.totals.faults.lost = 2;
  const auto json = to_json(Options{}, {step}, evaluate({step}));
  EXPECT_EQ(json["tool"], "canopy-loadtest");
  EXPECT_EQ(json["config"]["period_ms"], 2000);
  const auto& first = json["steps"].at(0);
  EXPECT_EQ(first["clients"], 100);
  EXPECT_EQ(first["lost"], 2);
  EXPECT_EQ(first["validators"]["GapDetected"], 2);
  EXPECT_TRUE(first["validators"]["AppliedOnce"].is_null());
  EXPECT_EQ(first["deliveries_per_second"], 5000);
  EXPECT_NEAR(first["latency_ms"]["p50"].get<double>(), 2, 0.05);
  EXPECT_EQ(first["processes"].at(0)["open_fds"], 790);
  EXPECT_TRUE(first["processes"].at(2)["cpu_percent"].is_null());
  EXPECT_EQ(json["verdict"]["pass"], false);
  EXPECT_EQ(json["verdict"]["reasons"].size(), 1u);
}

TEST(Csv, HasAHeaderAndARowAStep) {
  auto unknown_process = clean_step();
  unknown_process.processes.clear();
  const auto lines = split(to_csv({clean_step(), unknown_process}), '\n');
  ASSERT_EQ(lines.size(), 3u);
  const auto fields = std::count(lines[0].begin(), lines[0].end(), ',');
  EXPECT_EQ(std::count(lines[1].begin(), lines[1].end(), ','), fields);
  EXPECT_EQ(std::count(lines[2].begin(), lines[2].end(), ','), fields);
  EXPECT_EQ(split(lines[0], ',').at(1), "clients");
  EXPECT_EQ(split(lines[1], ',').at(1), "100");
  EXPECT_THAT(lines[2], HasSubstr(",,,"));
}

}  // namespace
}  // namespace canopy::loadtest
