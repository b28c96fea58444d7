"""What every training tool shares: data, checks of data, the training loop, its monitors, plots and the card."""
