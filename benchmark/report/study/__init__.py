"""The study's questions, asked of cells: pure functions, and the tables made of them."""
