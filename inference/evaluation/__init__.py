"""How good answers are: evidence (`evidence`, the command), and the measures of written answers (`answers`)."""
