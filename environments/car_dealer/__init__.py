"""LMRL-Gym's car dealer: sell a car to a buyer with preferences, a budget and a personality."""

from environments.car_dealer.environment import CarDealer

__all__ = ["CarDealer"]
