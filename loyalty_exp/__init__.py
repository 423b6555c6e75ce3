"""loyalty_exp: proves, with randomized holdouts, whether loyalty and CRM campaigns earn money."""
