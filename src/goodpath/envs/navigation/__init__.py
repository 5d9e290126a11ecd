"""The Safety-Gymnasium navigation tasks on MuJoCo 4, exact against safety-gymnasium 1.0.0 and batched.

`tasks` says what a task is, `layout` where things start, `model` what is simulated, `formulas` what follows
from a state (reward, cost, observation), and `engine` steps many copies of a task together.
"""
