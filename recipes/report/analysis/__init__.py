"""What the report states about runs: `findings.find` computes phases, tables and sentences."""
