#pragma once

#include <string>
#include <vector>

#include "app/progress.h"
#include "base/clock.h"
#include "client/types.h"

namespace inferq::app {

/// A batch of a server on its way, as a view for ProgressDisplay.
class BatchProgressView final : public ProgressView {
 public:
  /// @param ended_before  lines that had ended when waiting began. @param waited  since then.
  BatchProgressView(client::Batch batch, uint64_t ended_before, base::Micros waited)
      : batch_(std::move(batch)), ended_before_(ended_before), waited_(waited) {}
  /// "[#####-----]  512/1,000  3 failed  0:42 left", or the status while no lines run.
  std::string Bar(int width) const override;
  std::string Line() const override;
  /// The server's object under "batch"; keys are documented in docs/cli.md.
  std::string Json() const override;

 private:
  bool HasCounts() const;
  std::string Failures(const char* format) const;
  std::string TimeLeft(const char* format) const;

  client::Batch batch_;
  uint64_t ended_before_;
  base::Micros waited_;
};

/// Bytes on their way to or from a server. `total` 0: not known.
class TransferView final : public ProgressView {
 public:
  TransferView(std::string what, uint64_t done, uint64_t total)
      : what_(std::move(what)), done_(done), total_(total) {}
  /// "[#####-----]  uploading  12.3 MB of 200.0 MB"
  std::string Bar(int width) const override;
  std::string Line() const override { return Text(); }
  std::string Json() const override;

 private:
  std::string Text() const;

  std::string what_;
  uint64_t done_;
  uint64_t total_;
};

/// The last words on a batch that has ended.
std::string BatchSummaryText(const client::Batch& batch);
std::string BatchSummaryJson(const client::Batch& batch);
/// All about a batch, "name  value" in lines.
std::string BatchDetails(const client::Batch& batch);
std::string FileDetails(const client::File& file);
std::string BatchTable(const std::vector<client::Batch>& batches);
std::string FileTable(const std::vector<client::File>& files);

}  // namespace inferq::app
