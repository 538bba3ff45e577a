from plaza_training.cli import main

main()
