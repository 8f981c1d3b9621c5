#include "base/limits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/temporary_folder.h"

namespace dbrx {
namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// What the two kinds of systems show a process: its groups, where they are mounted, and the files
// of each group.
struct Machine {
  TemporaryFolder folder;
  std::filesystem::path root = folder.path();
  std::filesystem::path groups = root / "sys/fs/cgroup";

  void describe(const std::string& mine, const std::string& mounts) {
    write(root / "proc/self/cgroup", mine);
    write(root / "proc/self/mountinfo",
          "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" + mounts);
  }
  void use_v2(const std::string& mine, const std::string& mount_root = "/") {
    describe("0::" + mine + "\n",
             "30 22 0:26 " + mount_root +
                 " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void use_v1(const std::string& mine, const std::string& mount_root = "/") {
    describe("5:cpu,cpuacct:" + mine + "\n4:memory:" + mine + "\n1:name=systemd:/elsewhere\n",
             "31 22 0:27 " + mount_root +
                 " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" + "32 22 0:28 " +
                 mount_root + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  }
};

TEST(Limits, AMachineWithoutControlGroupsHasNone) {
  const Machine machine;
  EXPECT_EQ(group_memory(machine.root), 0);
  EXPECT_EQ(group_cpu_quota(machine.root), 0);
}

TEST(Limits, ThoseOfAContainerStandAtTheMount) {
  Machine machine;
  machine.use_v2("/");
  write(machine.groups / "memory.max", "107374182400\n");
  write(machine.groups / "cpu.max", "150000 100000\n");
  EXPECT_EQ(group_memory(machine.root), int64_t{100} << 30);
  EXPECT_EQ(group_cpu_quota(machine.root), 1.5);
}

TEST(Limits, ThoseOfASystemdUnitStandInItsFolder) {
  Machine machine;
  machine.use_v2("/system.slice/dbrx.service");
  write(machine.groups / "system.slice/memory.max", "max\n");
  write(machine.groups / "system.slice/cpu.max", "max 100000\n");
  write(machine.groups / "system.slice/dbrx.service/memory.max", "4294967296\n");
  write(machine.groups / "system.slice/dbrx.service/memory.high", "max\n");
  write(machine.groups / "system.slice/dbrx.service/cpu.max", "400000 100000\n");
  EXPECT_EQ(group_memory(machine.root), int64_t{4} << 30);
  EXPECT_EQ(group_cpu_quota(machine.root), 4);
}

TEST(Limits, TheLeastOfAllGroupsAboveCounts) {
  Machine machine;
  machine.use_v2("/team/job");
  write(machine.groups / "team/memory.max", "1000000000\n");
  write(machine.groups / "team/job/memory.max", "3000000000\n");
  write(machine.groups / "team/cpu.max", "300000 100000\n");
  write(machine.groups / "team/job/cpu.max", "max 100000\n");
  EXPECT_EQ(group_memory(machine.root), 1'000'000'000);
  EXPECT_EQ(group_cpu_quota(machine.root), 3);
  write(machine.groups / "team/memory.high", "900000000\n");
  EXPECT_EQ(group_memory(machine.root), 900'000'000);
}

TEST(Limits, Version1HasThemInFilesOfItsOwn) {
  Machine machine;
  machine.use_v1("/docker/abc");
  write(machine.groups / "memory/memory.limit_in_bytes", "9223372036854771712\n");
  write(machine.groups / "memory/docker/abc/memory.limit_in_bytes", "2147483648\n");
  write(machine.groups / "cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
  write(machine.groups / "cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(group_memory(machine.root), int64_t{2} << 30);
  EXPECT_EQ(group_cpu_quota(machine.root), 2.5);
  write(machine.groups / "cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(group_cpu_quota(machine.root), 0);
}

// Without a namespace of its own a container's groups are named as on the host, but only its own
// are mounted.
TEST(Limits, AMountThatShowsOneGroupIsThatGroup) {
  for (const char* mine : {"/docker/abc", "/another/one"}) {
    Machine machine;
    machine.use_v1(mine, "/docker/abc");
    write(machine.groups / "memory/memory.limit_in_bytes", "2147483648\n");
    EXPECT_EQ(group_memory(machine.root), int64_t{2} << 30) << mine;
  }
  Machine machine;
  machine.use_v2("/docker/abc/inner", "/docker/abc");
  write(machine.groups / "inner/memory.max", "1048576\n");
  EXPECT_EQ(group_memory(machine.root), 1 << 20);
}

TEST(Limits, ThisProcessHasSome) {
  EXPECT_GT(available_memory(), 1 << 28);
  EXPECT_GE(cpu_quota(), 0);
}

}  // namespace
}  // namespace dbrx
