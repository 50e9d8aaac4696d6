"""Following what Firebase shows of the tickers, as the front end does."""
