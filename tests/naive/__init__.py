"""The obvious server of the same contract, for comparison."""
