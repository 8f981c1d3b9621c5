// The main function of test binaries whose tests compile grammars: as the program does, they run
// themselves to try one.
#include <gtest/gtest.h>

#include "text/grammar_trial.h"

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == dbrx::kGrammarTrialCommand) dbrx::grammar_trial_main();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
