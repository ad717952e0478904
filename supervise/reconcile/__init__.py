"""The reconciler: one pass after another from what is seen to what is written and done (DESIGN, sections 2 to 4)."""
