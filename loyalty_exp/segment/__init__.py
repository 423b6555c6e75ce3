"""Who is who: customer features, RFM, lifetime value, dated membership."""
